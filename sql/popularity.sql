-- Popularity is taken now and then; a generation begins where any changed, and a sweep follows.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO';
DROP EXTENSION reco;
CREATE EXTENSION reco;
SELECT reco_tick('2100-01-02 12:30Z');
SELECT generation AS begin FROM reco.state \gset
INSERT INTO reco.product SELECT p, 'shoes' FROM unnest('{a,b,c,d}'::text[]) AS p;
INSERT INTO reco.activity
  SELECT 'page_view', u, p, NULL, t::timestamptz
  FROM (VALUES (1, 'd', '2100-01-02 12:00Z'), (2, 'd', '2100-01-02 12:00Z'), (3, 'c', '2100-01-02 13:10Z'),
               (4, 'b', '2100-01-01 12:59Z'), (5, 'b', '2100-01-01 12:59Z'), (6, 'unknown', '2100-01-02 12:00Z')) AS v (u, p, t);
SELECT user_id, recommended_products FROM reco.user_recommendations ORDER BY 1;

-- windows that start after clock - H: the one of 12:00 of the day before does not
SELECT reco_take_popularity();
SELECT * FROM reco.product ORDER BY 1;
SELECT generation - :begin AS generations, popularity_at FROM reco.state;
-- the lists are of the generation before, and are left out
SELECT user_id, recommended_products FROM reco.user_recommendations ORDER BY 1;
SELECT * FROM reco_verify();
SELECT reco_sweep(2);
SELECT * FROM reco_verify();
SELECT reco_sweep();
SELECT reco_sweep();
SELECT user_id, recommended_products FROM reco.user_recommendations ORDER BY 1;
SELECT * FROM reco_verify();

-- nothing changed: no generation
SELECT reco_take_popularity();
SELECT generation - :begin AS generations FROM reco.state;

-- a new view brings its user's row to the present generation
INSERT INTO reco.activity VALUES ('page_view', 2, 'c', NULL, '2100-01-02 12:01Z'), ('page_view', 7, 'c', NULL, '2100-01-02 12:01Z');
SELECT reco_take_popularity();
INSERT INTO reco.activity VALUES ('page_view', 1, 'unknown', NULL, '2100-01-02 12:02Z');
SELECT u.user_id, s.generation - u.generation AS behind, reco.list_products(u.list) AS recommended_products
  FROM reco.state s, reco.user_state u ORDER BY 1;

-- with time the views age, and popularity falls
SELECT reco_tick('2100-01-03 12:29:59Z');
SELECT reco_take_popularity();
SELECT reco_sweep();
SELECT * FROM reco.product ORDER BY 1;
SELECT user_id, recommended_products FROM reco.user_recommendations ORDER BY 1;
SELECT * FROM reco_verify();
