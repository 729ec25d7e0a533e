-- The clock decides what counts; with reco.enabled = off only reco_tick() moves it.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO';
DROP EXTENSION reco;
CREATE EXTENSION reco;

SELECT reco_tick('2100-01-01 12:00:00.75Z');
SELECT clock, horizon, recent_window, retention FROM reco.state;
SELECT reco_tick('2099-01-01Z') AS never_backwards;
SELECT reco_tick(NULL) IS NULL AS nothing;
SELECT reco_tick('infinity');
SELECT reco_tick('-infinity');
SELECT clock FROM reco.state;

INSERT INTO reco.product VALUES ('a', 'x'), ('b', 'x');
INSERT INTO reco.activity VALUES
  ('page_view', 1, 'a', NULL, '2100-01-01 12:00:00Z'),
  ('page_view', 2, 'a', NULL, '2100-01-01 12:00:00.000001Z'),
  ('page_view', 3, 'a', NULL, '2100-01-01 12:00:01Z'),
  ('page_view', 4, 'a', NULL, '2100-01-01 13:00:00Z');
SELECT * FROM reco.user_views ORDER BY 1;

-- a view counts while it is later than clock - H
SELECT reco_tick('2100-01-02 11:59:59Z');
SELECT user_id, recommended_products FROM reco.user_recommendations ORDER BY 1;
SELECT reco_tick('2100-01-02 12:00:00Z');
SELECT user_id, recommended_products FROM reco.user_recommendations ORDER BY 1;
SELECT reco_tick('2100-01-02 12:00:01Z');
SELECT user_id, recommended_products FROM reco.user_recommendations ORDER BY 1;
SELECT user_id FROM reco.user_state ORDER BY 1;

-- windows are dropped whole
SELECT * FROM reco.trending_products ORDER BY 1, 2;
SELECT reco_tick('2100-01-02 13:59:59Z');
SELECT * FROM reco.trending_products ORDER BY 1, 2;
SELECT reco_tick('2100-01-02 14:00:00Z');
SELECT * FROM reco.trending_products ORDER BY 1, 2;
SELECT horizon FROM reco.state;

-- a large step leaves nothing, and an undone one everything
BEGIN;
SELECT reco_tick('2100-03-01Z');
SELECT count(*) FROM reco.trending_products;
ROLLBACK;
SELECT clock FROM reco.state;
SELECT count(*) FROM reco.trending_products;
SELECT reco_tick('2100-03-01Z');
SELECT count(*) FROM reco.trending_products;
SELECT count(*) FROM reco.user_state;
SELECT * FROM reco_verify();
