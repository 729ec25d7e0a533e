-- The oracle: what reco's state must be, computed anew from the events held.
--
-- Run this script with psql in a database that holds the extension. It makes
-- the schema reco_oracle with views that read reco.state, reco.activity and
-- reco.product only, and two that set their result beside what reco maintains:
--
--   SELECT * FROM reco_oracle.difference;   -- every row that differs; none when right
--   SELECT * FROM reco_oracle.left_out;     -- lists of an older generation, not compared
--
-- Each is one statement, so each sees one snapshot. For both in the same
-- snapshot, select them in one REPEATABLE READ transaction.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS reco_oracle CASCADE;
CREATE SCHEMA reco_oracle;
SET search_path = reco_oracle, pg_catalog;

-- The one row; LIMIT tells the planner so.
CREATE VIEW state AS
SELECT * FROM reco.state LIMIT 1;

-- Page views a window and product.
CREATE VIEW window_count AS
SELECT date_bin(s.trending_window, a."timestamp", 'epoch') AS window_start,
       a.product_id COLLATE "C" AS product_id,
       count(*) AS view_count
FROM state s, reco.activity a
WHERE a.event_type = 'page_view' AND a."timestamp" >= s.horizon
GROUP BY 1, 2;

-- The most viewed products of each window; those that tie with the last stay, up to trending_max, by product_id.
CREATE VIEW trending_products AS
SELECT window_start, product_id, view_count
FROM (SELECT c.*, rank() OVER (PARTITION BY window_start ORDER BY view_count DESC) AS r,
             row_number() OVER (PARTITION BY window_start ORDER BY view_count DESC, product_id COLLATE "C") AS n
      FROM window_count c) t, state s
WHERE r <= s.trending_size AND n <= s.trending_max;

-- The views of the last H a user, the newest max_user_views of them.
CREATE VIEW recent AS
SELECT user_id, product_id, viewed_at
FROM (SELECT a.user_id, a.product_id COLLATE "C" AS product_id,
             to_timestamp(ceil(extract(epoch FROM a."timestamp"))) AS viewed_at,
             row_number() OVER (PARTITION BY a.user_id
                                ORDER BY ceil(extract(epoch FROM a."timestamp")) DESC,
                                         a.product_id COLLATE "C" DESC) AS n
      FROM state s, reco.activity a
      WHERE a.event_type = 'page_view' AND a."timestamp" > s.clock - s.recent_window) v,
     state s
WHERE n <= s.max_user_views;

-- A user's list: the products not seen yet of her top categories.
CREATE VIEW user_recommendations AS
WITH recent AS MATERIALIZED (
  SELECT user_id, product_id FROM reco_oracle.recent),
product AS MATERIALIZED (
  SELECT product_id COLLATE "C" AS product_id, category COLLATE "C" AS category, popularity
  FROM reco.product
  WHERE category <> ''),
ranked AS (
  SELECT user_id, category,
         rank() OVER (PARTITION BY user_id ORDER BY count(*) DESC) AS r
  FROM recent JOIN product USING (product_id)
  GROUP BY user_id, category),
candidates AS (
  SELECT ranked.user_id, p.product_id,
         row_number() OVER (PARTITION BY ranked.user_id
                            ORDER BY r, p.popularity DESC, p.product_id COLLATE "C") AS n
  FROM state s, ranked JOIN product p USING (category)
  WHERE r <= s.top_categories
    AND NOT EXISTS (SELECT FROM recent x
                    WHERE x.user_id = ranked.user_id AND x.product_id = p.product_id))
SELECT user_id, array_agg(product_id ORDER BY n) AS recommended_products
FROM candidates, state s
WHERE n <= s.max_recommendations OR s.max_recommendations = 0
GROUP BY user_id;

-- Lists of an older generation: right in their time, a sweep will come by.
CREATE VIEW left_out AS
SELECT u.user_id, u.generation
FROM state s JOIN reco.user_state u ON u.generation < s.generation;

-- Every row that differs from what reco maintains.
CREATE VIEW difference AS
WITH recent AS MATERIALIZED (SELECT * FROM recent),
wanted_count AS MATERIALIZED (SELECT * FROM window_count)
SELECT 'state' AS relation, 'horizon' AS key,
       date_bin(trending_window, clock - retention, 'epoch')::text AS expected,
       horizon::text AS found
FROM state
WHERE horizon IS DISTINCT FROM date_bin(trending_window, clock - retention, 'epoch')
   OR clock <> date_trunc('second', clock)
UNION ALL
SELECT 'window_count', concat(window_start, ' ', product_id), w.view_count::text, f.view_count
FROM wanted_count w
     FULL JOIN (SELECT window_start, product_id, string_agg(view_count::text, ',') AS view_count
                FROM reco.window_count LEFT JOIN reco.product_number USING (number)
                WHERE window_start >= (SELECT horizon FROM state)
                GROUP BY window_start, product_id) f USING (window_start, product_id)
WHERE w.view_count::text IS DISTINCT FROM f.view_count
UNION ALL
SELECT 'trending_products', concat(window_start, ' ', product_id), w.view_count::text, f.view_count
FROM trending_products w
     FULL JOIN (SELECT window_start, product_id, string_agg(view_count::text, ',') AS view_count
                FROM reco.trending_products
                GROUP BY window_start, product_id) f USING (window_start, product_id)
WHERE w.view_count::text IS DISTINCT FROM f.view_count
UNION ALL
SELECT 'user_views', concat(user_id, ' ', product_id, ' ', viewed_at), w.n::text, f.n::text
FROM (SELECT user_id, product_id, viewed_at, count(*) AS n FROM recent GROUP BY 1, 2, 3) w
     FULL JOIN (SELECT user_id, product_id, viewed_at, count(*) AS n FROM reco.user_views
                GROUP BY 1, 2, 3) f USING (user_id, product_id, viewed_at)
WHERE w.n IS DISTINCT FROM f.n
UNION ALL
SELECT 'user_state', u.user_id::text, CASE WHEN r.user_id IS NOT NULL THEN 'generation ' || s.generation END,
       'generation ' || u.generation
FROM state s, reco.user_state u LEFT JOIN (SELECT DISTINCT user_id FROM recent) r USING (user_id)
WHERE u.generation > s.generation OR r.user_id IS NULL
UNION ALL
SELECT 'user_recommendations', user_id::text, w.recommended_products::text, f.recommended_products::text
FROM user_recommendations w
     FULL JOIN reco.user_recommendations f USING (user_id)
     LEFT JOIN left_out l USING (user_id)
WHERE w.recommended_products IS DISTINCT FROM f.recommended_products AND l.user_id IS NULL;

RESET search_path;
RESET client_min_messages;
