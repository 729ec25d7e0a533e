-- A user's list: products not viewed of the top categories, popular first.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO';
DROP EXTENSION reco;
CREATE EXTENSION reco;
SELECT reco_tick('2100-01-01 12:30Z');
INSERT INTO reco.product (product_id, category, popularity) VALUES
  ('a1', 'a', 0), ('a2', 'a', 7), ('a3', 'a', 7), ('A4', 'a', 7),
  ('b1', 'b', 0), ('b2', 'b', 1),
  ('c1', 'c', 0), ('c2', 'c', 9),
  ('d1', 'd', 0), ('d2', 'd', 8),
  ('e1', 'e', 0), ('e2', 'e', 9),
  ('alone', 'lonely', 9), ('nowhere', NULL, 9);
CREATE FUNCTION view_products(bigint, VARIADIC text[]) RETURNS void LANGUAGE sql AS $$
  INSERT INTO reco.activity SELECT 'page_view', $1, p, NULL, '2100-01-01 12:00Z' FROM unnest($2) AS p $$;
CREATE VIEW lists AS SELECT user_id, recommended_products FROM reco.user_recommendations;

-- the most viewed category first; equal popularity: by the name, COLLATE "C"
SELECT view_products(1, 'a1', 'a1', 'b1');
SELECT recommended_products FROM lists WHERE user_id = 1;
-- views of several products add up in their category
SELECT view_products(1, 'b1', 'b2');
SELECT recommended_products FROM lists WHERE user_id = 1;
-- all that tie with the third category stay, and share its place
SELECT view_products(2, 'a1', 'a1', 'a1', 'b1', 'b1', 'c1', 'd1', 'e1');
SELECT recommended_products FROM lists WHERE user_id = 2;
-- three share the first rank, so the next one is the fourth
SELECT view_products(3, 'a1', 'a1', 'b1', 'b1', 'c1', 'c1', 'd1');
SELECT recommended_products FROM lists WHERE user_id = 3;

-- nothing left to recommend: no row
SELECT view_products(4, 'alone', 'nowhere', 'unknown');
SELECT count(*) FROM lists WHERE user_id = 4;
SELECT count(*) FROM reco.user_views WHERE user_id = 4;
INSERT INTO reco.activity VALUES
  ('click', 5, 'a1', NULL, '2100-01-01 12:00Z'),
  ('search', 5, NULL, 'a1', '2100-01-01 12:00Z'),
  ('add_to_cart', 5, 'a1', NULL, '2100-01-01 12:00Z');
SELECT count(*) FROM reco.user_state WHERE user_id = 5;

SELECT * FROM reco_for_user(1);
SELECT * FROM reco_for_user(1, 2);
SELECT * FROM reco_for_user(4);
SELECT * FROM reco_for_user(NULL);
SELECT * FROM reco_for_user(1, 0);
SELECT * FROM reco_for_user(1, -5);
SELECT * FROM reco_for_user(-1, -5);

-- 20 at most
INSERT INTO reco.product SELECT 'm' || lpad(n::text, 3, '0'), 'many', 0 FROM generate_series(1, 30) AS n;
SELECT view_products(6, 'm002', 'm004', 'm030');
SELECT array_length(recommended_products, 1), recommended_products[1:3], recommended_products[20]
  FROM lists WHERE user_id = 6;

-- more categories tie than the list has places: the best products of all of them
INSERT INTO reco.product SELECT 't' || n || '_' || m, 'tie ' || n, CASE WHEN n % 3 = 0 THEN 100 - m ELSE n END
  FROM generate_series(1, 30) AS n, generate_series(1, 8) AS m;
SELECT view_products(8, VARIADIC (SELECT array_agg('t' || n || '_1') FROM generate_series(1, 30) AS n));
SELECT array_length(recommended_products, 1), recommended_products[1:3], recommended_products[18:20]
  FROM lists WHERE user_id = 8;

-- deleting views takes them back
DELETE FROM reco.activity WHERE user_id = 1 AND product_id = 'a1';
SELECT recommended_products FROM lists WHERE user_id = 1;
DELETE FROM reco.activity WHERE user_id IN (1, 3);
SELECT user_id FROM reco.user_state ORDER BY 1;

-- a transaction undone leaves no trace
BEGIN;
SELECT view_products(7, 'a1');
SELECT FROM reco.apply_events();
SELECT recommended_products FROM lists WHERE user_id = 7;
SAVEPOINT s;
SELECT view_products(7, 'b1', 'b1');
SELECT FROM reco.apply_events();
SELECT recommended_products FROM lists WHERE user_id = 7;
ROLLBACK TO s;
SELECT recommended_products FROM lists WHERE user_id = 7;
ROLLBACK;
SELECT count(*) FROM lists WHERE user_id = 7;
SELECT * FROM reco_verify();

TRUNCATE reco.activity;
SELECT count(*) FROM reco.user_state;
DROP VIEW lists;
DROP FUNCTION view_products;
