-- The article's pipeline in plain PostgreSQL: RisingWave's materialized views become PostgreSQL's.
CREATE TABLE user_activity (event_type text NOT NULL, user_id bigint NOT NULL, product_id text COLLATE "C", query text, "timestamp" timestamptz NOT NULL);
CREATE INDEX ON user_activity ("timestamp") WHERE event_type = 'page_view';
CREATE TABLE products (product_id text COLLATE "C" PRIMARY KEY, category text COLLATE "C");
CREATE INDEX ON products (category, product_id);

CREATE MATERIALIZED VIEW trending_products AS
SELECT window_start, product_id, view_count FROM (
  SELECT date_bin('1 h', "timestamp", 'epoch') AS window_start, product_id, count(*) AS view_count,
         rank() OVER (PARTITION BY date_bin('1 h', "timestamp", 'epoch') ORDER BY count(*) DESC) AS r
  FROM user_activity
  WHERE event_type = 'page_view' AND "timestamp" >= date_bin('1 h', now() - interval '25 h', 'epoch')
  GROUP BY 1, 2) t
WHERE r <= 10;
CREATE UNIQUE INDEX ON trending_products (window_start, product_id);

CREATE MATERIALIZED VIEW user_recommendations AS
WITH recent AS MATERIALIZED (
  SELECT user_id, product_id FROM (
    SELECT user_id, product_id, row_number() OVER (PARTITION BY user_id
             ORDER BY ceil(extract(epoch FROM "timestamp")) DESC, product_id DESC) AS n
    FROM user_activity WHERE event_type = 'page_view' AND "timestamp" > now() - interval '24 h') v
  WHERE n <= 500),
ranked AS (
  SELECT user_id, category, rank() OVER (PARTITION BY user_id ORDER BY count(*) DESC) AS r
  FROM recent JOIN products USING (product_id) WHERE category IS NOT NULL GROUP BY user_id, category),
candidates AS (
  SELECT user_id, p.product_id, row_number() OVER (PARTITION BY user_id ORDER BY r, p.product_id) AS n
  FROM ranked JOIN products p USING (category)
  WHERE r <= 3 AND NOT EXISTS (SELECT FROM recent x WHERE x.user_id = ranked.user_id AND x.product_id = p.product_id))
SELECT user_id, array_agg(product_id ORDER BY n) AS recommended_products FROM candidates WHERE n <= 20 GROUP BY user_id;
CREATE UNIQUE INDEX ON user_recommendations (user_id);

-- What Redis holds, so that only differences are written.
CREATE TABLE published_users (user_id bigint PRIMARY KEY, recommended_products text[] COLLATE "C" NOT NULL);
CREATE TABLE published_windows (window_start timestamptz, product_id text COLLATE "C", view_count bigint, PRIMARY KEY (window_start, product_id));
