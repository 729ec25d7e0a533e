-- Trending products: page views of a window, all that tie with the tenth, up to reco.trending_max.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO';
DROP EXTENSION reco;
CREATE EXTENSION reco;
SELECT reco_tick('2100-01-01 12:30Z');

-- product n of 12 has n views, but 3 and 4 have three each
INSERT INTO reco.activity
  SELECT 'page_view', u, 'p' || n, NULL, '2100-01-01 12:00Z'
  FROM generate_series(1, 12) AS n, generate_series(1, CASE n WHEN 4 THEN 3 ELSE n END) AS u;
SELECT product_id, view_count FROM reco.trending_products ORDER BY 2 DESC, 1;
SELECT rank, product_id, view_count, window_start FROM reco_trending(3);
SELECT count(*), pg_typeof(max(rank)) FROM reco_trending(100);
SELECT * FROM reco_trending(-1);

-- only page views count; a window holds its start, not its end
INSERT INTO reco.activity VALUES
  ('click', 1, 'p1', NULL, '2100-01-01 12:00Z'),
  ('search', 1, NULL, 'p1', '2100-01-01 12:00Z'),
  ('purchase', 1, 'p1', NULL, '2100-01-01 12:00Z'),
  ('page_view', 1, 'first', NULL, '2100-01-01 11:00Z'),
  ('page_view', 1, 'last', NULL, '2100-01-01 11:59:59.999999Z'),
  ('page_view', 1, 'next', NULL, '2100-01-01 13:00Z');
SELECT * FROM reco.trending_products WHERE window_start <> '2100-01-01 12:00Z' ORDER BY 1, 2;
SELECT product_id FROM reco_trending(at => '2100-01-01 11:30Z') ORDER BY 1;
SELECT product_id FROM reco_trending(at => '2100-01-01 13:00Z') ORDER BY 1;
SELECT * FROM reco_trending(at => '2099-01-01Z');

-- who ties comes in, who falls behind goes out
INSERT INTO reco.activity VALUES
  ('page_view', 1, 'p2', NULL, '2100-01-01 12:10Z');
SELECT product_id, view_count FROM reco.trending_products
  WHERE window_start = '2100-01-01 12:00Z' AND view_count < 6 ORDER BY 2 DESC, 1;
INSERT INTO reco.activity VALUES
  ('page_view', 1, 'p2', NULL, '2100-01-01 12:10Z');
SELECT product_id, view_count FROM reco.trending_products
  WHERE window_start = '2100-01-01 12:00Z' AND view_count < 6 ORDER BY 2 DESC, 1;

-- deleted views bring others up again
DELETE FROM reco.activity WHERE product_id IN ('p12', 'p11', 'p2');
SELECT product_id, view_count FROM reco.trending_products
  WHERE window_start = '2100-01-01 12:00Z' ORDER BY 2 DESC, 1;
SELECT * FROM reco_verify();

-- counters of any size, and back
INSERT INTO reco.activity
  SELECT 'page_view', n, 'p' || p, NULL, '2100-01-01 12:00Z' FROM (VALUES (1, 255), (3, 70000)) v (p, views), generate_series(1, views) AS n;
SELECT product_id, view_count FROM reco.trending_products
  WHERE window_start = '2100-01-01 12:00Z' AND view_count > 100 ORDER BY 2;
SELECT octet_length(counts) FROM reco.window_counter WHERE window_start = '2100-01-01 12:00Z';
INSERT INTO reco.activity VALUES ('page_view', 1, 'p1', NULL, '2100-01-01 12:00Z');
DELETE FROM reco.activity WHERE product_id = 'p3';
SELECT octet_length(counts) FROM reco.window_counter WHERE window_start = '2100-01-01 12:00Z';
DELETE FROM reco.activity WHERE product_id = 'p1';
SELECT octet_length(counts) FROM reco.window_counter WHERE window_start = '2100-01-01 12:00Z';
SELECT * FROM reco_verify();

-- of those that tie no more stay than trending_max allows: the first by product_id
TRUNCATE reco.activity;
UPDATE reco.state SET trending_max = 5, trending_size = 2;
SELECT reco_rebuild();
INSERT INTO reco.activity
  SELECT 'page_view', u, p, NULL, '2100-01-01 12:00Z'
  FROM unnest('{m,f,Z,d,top,b,A,c}'::text[]) AS p, generate_series(1, CASE p WHEN 'top' THEN 2 ELSE 1 END) AS u;
SELECT product_id, view_count FROM reco.trending_products ORDER BY 2 DESC, 1;
SELECT rank, product_id FROM reco_trending(3);
INSERT INTO reco.activity VALUES ('page_view', 1, 'a', NULL, '2100-01-01 12:01Z'), ('page_view', 1, 'e', NULL, '2100-01-01 12:01Z');
SELECT product_id, view_count FROM reco.trending_products ORDER BY 2 DESC, 1;
INSERT INTO reco.activity SELECT 'page_view', u, 'more ' || u, NULL, '2100-01-01 12:02Z' FROM generate_series(1, 2000) u;
SELECT * FROM reco_verify();
INSERT INTO reco.activity VALUES ('page_view', 1, 'c', NULL, '2100-01-01 12:02Z'), ('page_view', 1, 'm', NULL, '2100-01-01 12:02Z');
SELECT product_id, view_count FROM reco.trending_products ORDER BY 2 DESC, 1;
DELETE FROM reco.activity WHERE product_id IN ('c', 'm', 'b');
SELECT product_id, view_count FROM reco.trending_products ORDER BY 2 DESC, 1;
SELECT count(*) FROM reco_trending(3000);
SELECT * FROM reco_verify();
-- fewer than the rank
UPDATE reco.state SET trending_size = 10;
SELECT reco_rebuild();
SELECT product_id, view_count FROM reco.trending_products ORDER BY 2 DESC, 1;
SELECT * FROM reco_verify();

TRUNCATE reco.activity;
SELECT count(*) FROM reco.trending_products;
SELECT count(*) FROM reco.window_count;
SELECT * FROM reco_verify();
