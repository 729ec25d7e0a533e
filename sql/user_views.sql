-- What a user viewed: the newest 500 of the last H, seconds rounded up.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO';
DROP EXTENSION reco;
CREATE EXTENSION reco;
SELECT reco_tick('2100-01-02 12:00Z');
INSERT INTO reco.activity VALUES
  ('page_view', 1, 'whole', NULL, '2100-01-02 11:00:00Z'),
  ('page_view', 1, 'part', NULL, '2100-01-02 11:00:00.000001Z'),
  ('page_view', 1, 'twice', NULL, '2100-01-02 11:00:00.5Z'),
  ('page_view', 1, 'twice', NULL, '2100-01-02 11:00:01Z'),
  ('page_view', 1, 'old', NULL, '2100-01-01 12:00:00Z'),
  ('page_view', 1, 'hardly', NULL, '2100-01-01 12:00:00.000001Z'),
  ('page_view', 1, 'ahead', NULL, '2100-01-02 13:00:00Z'),
  ('click', 1, 'click', NULL, '2100-01-02 11:00:00Z');
SELECT * FROM reco.user_views ORDER BY viewed_at, product_id COLLATE "C";

-- a robot: of one second the greater names are the newer ones
INSERT INTO reco.activity
  SELECT 'page_view', 2, 'p' || lpad(n::text, 4, '0'), NULL, '2100-01-02 10:00Z' FROM generate_series(1, 700) AS n;
SELECT count(*), min(product_id), max(product_id) FROM reco.user_views WHERE user_id = 2;
-- an older view does not come in, a newer one does
INSERT INTO reco.activity VALUES ('page_view', 2, 'z', NULL, '2100-01-02 09:59:59Z');
SELECT count(*), min(product_id), max(product_id) FROM reco.user_views WHERE user_id = 2;
INSERT INTO reco.activity VALUES ('page_view', 2, 'a', NULL, '2100-01-02 10:00:00.1Z');
SELECT count(*), min(product_id), max(product_id) FROM reco.user_views WHERE user_id = 2;
-- what the cap kept out comes back
DELETE FROM reco.activity WHERE user_id = 2 AND product_id BETWEEN 'p0300' AND 'p0700';
SELECT count(*), min(product_id), max(product_id) FROM reco.user_views WHERE user_id = 2;
SELECT * FROM reco_verify();
