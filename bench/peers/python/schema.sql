CREATE TABLE activity (event_type text NOT NULL, user_id bigint NOT NULL, product_id text COLLATE "C", query text, "timestamp" timestamptz NOT NULL);
CREATE INDEX ON activity (user_id, "timestamp") WHERE event_type = 'page_view';
CREATE INDEX ON activity USING brin ("timestamp");
CREATE TABLE trending (window_start timestamptz, product_id text COLLATE "C", view_count bigint NOT NULL, PRIMARY KEY (window_start, product_id));
CREATE INDEX ON trending (window_start, view_count);
CREATE TABLE product (product_id text COLLATE "C" PRIMARY KEY, category text COLLATE "C", popularity bigint NOT NULL DEFAULT 0);
CREATE INDEX ON product (category, popularity DESC, product_id) INCLUDE (product_id);
CREATE TABLE offsets (partition int PRIMARY KEY, next_offset bigint NOT NULL);
CREATE TEMPORARY TABLE batch (LIKE activity);

-- $1: users whose list is wanted
PREPARE lists (bigint[]) AS
WITH recent AS MATERIALIZED (
  SELECT user_id, product_id FROM unnest($1) AS u(user_id), LATERAL (
    SELECT product_id FROM activity a
    WHERE a.user_id = u.user_id AND event_type = 'page_view' AND "timestamp" > now() - interval '24 h'
    ORDER BY ceil(extract(epoch FROM "timestamp")) DESC, product_id DESC LIMIT 500) v),
ranked AS (
  SELECT user_id, category, r FROM (
    SELECT user_id, category, rank() OVER (PARTITION BY user_id ORDER BY count(*) DESC) AS r
    FROM recent JOIN product USING (product_id) WHERE category IS NOT NULL GROUP BY user_id, category) c
  WHERE r <= 3),
viewed AS MATERIALIZED (SELECT user_id, array_agg(product_id) AS products FROM recent GROUP BY user_id),
candidates AS (
  SELECT user_id, p.product_id, row_number() OVER (PARTITION BY user_id ORDER BY r, popularity DESC, p.product_id) AS n
  FROM ranked JOIN viewed USING (user_id), LATERAL (
    SELECT product_id, popularity FROM product
    WHERE category = ranked.category AND product_id <> ALL (products)
    ORDER BY popularity DESC, product_id LIMIT 20) p)
SELECT user_id, array_agg(product_id ORDER BY n) FILTER (WHERE n <= 20)
FROM unnest($1) AS u(user_id) LEFT JOIN candidates USING (user_id) GROUP BY user_id;
