-- reco_verify() names whatever is wrong.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO';
DROP EXTENSION reco;
CREATE EXTENSION reco;
SELECT reco_tick('2100-01-01 12:30Z');
INSERT INTO reco.product VALUES ('a', 'x'), ('b', 'x'), ('c', 'y'), ('d', 'y');
INSERT INTO reco.activity
  SELECT 'page_view', u, p, NULL, '2100-01-01 12:00Z'
  FROM (VALUES (1, 'a'), (2, 'a'), (2, 'c'), (3, 'c'), (4, 'unknown')) AS v (u, p);
CREATE FUNCTION numbers(VARIADIC ids text[]) RETURNS integer[] LANGUAGE sql RETURN (
  SELECT array_agg(number ORDER BY rank)
  FROM unnest(ids) WITH ORDINALITY i(product_id, rank) JOIN reco.product_number USING (product_id));
SELECT * FROM reco_verify();

-- a bad share
SELECT * FROM reco_verify(2);
SELECT * FROM reco_verify(-0.5);
SELECT * FROM reco_verify('NaN');
SELECT * FROM reco_verify(NULL);
\set VERBOSITY default
SELECT * FROM reco_verify(100);
\set VERBOSITY terse

-- a counter, a trending product
BEGIN;
UPDATE reco.window_counter w SET counts = set_byte(counts, at, get_byte(counts, at) + 1)
  FROM (SELECT number / 128 AS bucket, number % 128 AS at FROM reco.product_number WHERE product_id = 'a') n
  WHERE w.bucket = n.bucket AND get_byte(counts, at) > 0;
UPDATE reco.window_top SET (numbers, view_counts) =
  (SELECT array_agg(number), array_agg(CASE product_id WHEN 'c' THEN 5 ELSE view_count END)
   FROM unnest(numbers, view_counts) AS t(number, view_count) JOIN reco.product_number USING (number) WHERE product_id <> 'unknown');
SELECT * FROM reco_verify() ORDER BY relation, key COLLATE "C";
ROLLBACK;
BEGIN;
DELETE FROM reco.product_number WHERE product_id = 'c';
SELECT * FROM reco_verify() ORDER BY relation, key COLLATE "C";
ROLLBACK;

-- numbers that are none
UPDATE reco.product_number SET number = -1 WHERE product_id = 'a';

-- rows that are no views, once activity has lost its constraints
BEGIN;
ALTER TABLE reco.activity DROP CONSTRAINT product_id_present, ALTER event_type DROP NOT NULL, ALTER user_id DROP NOT NULL;
INSERT INTO reco.activity VALUES ('page_view', 1, NULL, NULL, '2100-01-01 12:00Z'),
  (NULL, 1, 'c', NULL, '2100-01-01 12:00Z'), ('page_view', NULL, 'c', NULL, '2100-01-01 12:00Z');
SELECT FROM reco.apply_events();
SELECT user_id, product_id FROM reco.user_views WHERE user_id = 1 OR user_id IS NULL;
SELECT reco_rebuild();
SELECT user_id, product_id FROM reco.user_views WHERE user_id = 1 OR user_id IS NULL;
DELETE FROM reco.activity WHERE user_id IS NULL OR product_id IS NULL OR event_type IS NULL;
SELECT * FROM reco_verify();
ROLLBACK;

-- invalid tops: of another length, with an unknown number, with more dimensions, with NULLs, empty
BEGIN;
UPDATE reco.window_top SET view_counts = view_counts || 7::bigint;
SELECT * FROM reco_verify() ORDER BY relation, key COLLATE "C";
INSERT INTO reco.activity VALUES ('page_view', 1, 'c', NULL, '2100-01-01 12:00Z');
SELECT FROM reco.apply_events();
ROLLBACK;
BEGIN;
UPDATE reco.window_top SET numbers = numbers || 999999, view_counts = view_counts || 1000::bigint;
SELECT * FROM reco_verify() ORDER BY relation, key COLLATE "C";
SELECT * FROM reco.trending_products;
ROLLBACK;
BEGIN;
UPDATE reco.window_top SET numbers = ARRAY[numbers], view_counts = ARRAY[view_counts];
SELECT * FROM reco_verify() ORDER BY relation, key COLLATE "C";
ROLLBACK;
BEGIN;
UPDATE reco.window_top SET numbers[1] = NULL, view_counts[2] = NULL;
INSERT INTO reco.window_top VALUES ('2100-01-01 13:00Z', '{}', '{}');
SELECT * FROM reco_verify() ORDER BY relation, key COLLATE "C";
ROLLBACK;

-- a list: changed, taken away, invented, of a future generation
BEGIN;
UPDATE reco.user_state SET list = numbers('b', 'd') WHERE user_id = 1;
UPDATE reco.user_state SET list = NULL WHERE user_id = 2;
UPDATE reco.user_state SET list = '{}' WHERE user_id = 4;
SELECT * FROM reco_verify() ORDER BY relation, key COLLATE "C";
ROLLBACK;
BEGIN;
DELETE FROM reco.user_state WHERE user_id = 1;
UPDATE reco.user_state SET generation = generation + 1, list = numbers('a') WHERE user_id = 2;
UPDATE reco.user_state SET generation = generation - 1, list = numbers('a') WHERE user_id = 3;
SELECT * FROM reco_verify() ORDER BY relation, key COLLATE "C";
ROLLBACK;

-- views of a user; a row that no view stands for
BEGIN;
UPDATE reco.user_state SET recent = recent || '\x00' || substr(recent, 6) WHERE user_id = 1;	-- in the same second
UPDATE reco.user_state SET recent = (SELECT recent FROM reco.user_state WHERE user_id = 4) WHERE user_id = 2;
INSERT INTO reco.user_state SELECT 9, updated_at, generation, NULL, NULL, '' FROM reco.user_state WHERE user_id = 4;
SELECT * FROM reco_verify() ORDER BY relation, key COLLATE "C";
ROLLBACK;

-- the mirror, with its triggers asleep: lists no longer follow from it
BEGIN;
ALTER TABLE reco.product DISABLE TRIGGER USER;
UPDATE reco.product SET category = 'x' WHERE product_id = 'd';
ALTER TABLE reco.product ENABLE TRIGGER USER;
SELECT * FROM reco_verify() ORDER BY relation, key COLLATE "C";
ROLLBACK;

-- activity behind the triggers' back
BEGIN;
ALTER TABLE reco.activity DISABLE TRIGGER USER;
DELETE FROM reco.activity WHERE user_id = 3;
SELECT * FROM reco_verify() ORDER BY relation, key COLLATE "C";
ROLLBACK;

-- a share of nobody still looks at the windows
BEGIN;
UPDATE reco.user_state SET list = NULL;
UPDATE reco.window_counter SET counts = set_byte(counts, 1, 77);
SELECT DISTINCT relation FROM reco_verify(0);
ROLLBACK;
SELECT * FROM reco_verify();

-- a list that names no product, and one that is none
BEGIN;
UPDATE reco.user_state SET list = '{77}' WHERE user_id = 1;
SELECT recommended_products FROM reco.user_recommendations WHERE user_id = 1;
ROLLBACK;
BEGIN;
UPDATE reco.user_state SET list = '{{1,2},{1,2}}' WHERE user_id = 1;
SELECT recommended_products FROM reco.user_recommendations WHERE user_id = 1;
ROLLBACK;

-- views that are none
BEGIN;
UPDATE reco.user_state SET recent = '\x80' WHERE user_id = 1;
SELECT product_id FROM reco.user_views;
ROLLBACK;
BEGIN;
UPDATE reco.user_state SET recent = recent || '\x01' WHERE user_id = 1;
INSERT INTO reco.activity VALUES ('page_view', 1, 'a', NULL, '2100-01-01 12:00Z');
SELECT FROM reco.apply_events();
ROLLBACK;
BEGIN;
UPDATE reco.user_state SET recent = recent || recent WHERE user_id = 1;
SELECT product_id FROM reco.user_views;
ROLLBACK;
BEGIN;
UPDATE reco.user_state SET recent = substr(recent, 1, 5) || '\xffffffff07' WHERE user_id = 1;	-- product 2147483647
INSERT INTO reco.activity VALUES ('page_view', 1, 'a', NULL, '2100-01-01 12:00Z');
SELECT FROM reco.apply_events();
ROLLBACK;
BEGIN;
UPDATE reco.user_state SET recent = substr(recent, 1, 5) || '\xfeffffff07' WHERE user_id = 1;
INSERT INTO reco.activity VALUES ('page_view', 1, 'a', NULL, '2100-01-01 12:00Z');
SELECT FROM reco.apply_events();
ROLLBACK;

-- what is none is computed anew; a state that is not one row has to go first
BEGIN;
UPDATE reco.user_state SET recent = '\x80', list = '{{1,2},{1,2}}';
SELECT reco_rebuild();
SELECT * FROM reco_verify();
ROLLBACK;
BEGIN;
INSERT INTO reco.state SELECT * FROM reco.state;
SAVEPOINT two;
SELECT reco_rebuild();
ROLLBACK TO two;
TRUNCATE reco.state;
SELECT reco_tick('2100-01-01 12:30Z');
SELECT reco_rebuild();
SELECT * FROM reco_verify();
ROLLBACK;

-- counters and lists of products that cannot be
BEGIN;
INSERT INTO reco.window_counter SELECT window_start, b, counts FROM reco.window_counter, (VALUES (-1), (2147483647)) v (b);
SELECT reco_take_popularity();
UPDATE reco.user_state SET list = '{-1000000000}' WHERE user_id = 1;
SELECT reco.reclaim();
INSERT INTO reco.product VALUES ('aside', 'aside');
SELECT list <> '{-1000000000}' AS is_mended FROM reco.user_state WHERE user_id = 1;
ROLLBACK;
-- numbers that stand for another product than this session remembers, or for none
INSERT INTO reco.activity SELECT 'page_view', 5, p, NULL, '2100-01-01 12:00Z' FROM (VALUES ('unknown'), ('a'), ('b')) v (p);
BEGIN;
UPDATE reco.product_number SET product_id = 'renamed' WHERE product_id = 'unknown';
INSERT INTO reco.activity VALUES ('page_view', 4, 'renamed', NULL, '2100-01-01 12:00Z');
SELECT FROM reco.apply_events();
SELECT product_id FROM reco.user_views WHERE user_id = 4;
UPDATE reco.product_number SET number = 77 WHERE product_id = 'a';
UPDATE reco.product SET category = 'z' WHERE product_id = 'a';
ROLLBACK;
BEGIN;
ALTER TABLE reco.product_number DROP CONSTRAINT product_number_number_check;
INSERT INTO reco.product_number VALUES ('negative', -1);
INSERT INTO reco.activity VALUES ('page_view', 4, 'negative', NULL, '2100-01-01 12:00Z');
SELECT FROM reco.apply_events();
ROLLBACK;
BEGIN;	-- nor are they shown, or given free
ALTER TABLE reco.product_number DROP CONSTRAINT product_number_number_check;
INSERT INTO reco.product_number VALUES ('low', -2000000000), ('high', 2147483647), ('stray', 100);
SELECT reco.reclaim();
SELECT number FROM reco.free_number;
UPDATE reco.window_top SET numbers[1] = -2000000000;
SELECT * FROM reco.trending_products;
ROLLBACK;
INSERT INTO reco.free_number VALUES (-7);
SELECT * FROM reco_verify();
DROP FUNCTION numbers;
