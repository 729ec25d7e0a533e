-- A change of the mirror reaches every list that it concerns, in the same transaction.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO';
DROP EXTENSION reco;
CREATE EXTENSION reco;
SELECT reco_tick('2100-01-01 12:30Z');
CREATE VIEW lists AS SELECT user_id, recommended_products FROM reco.user_recommendations;

-- viewed before the catalog knows it
INSERT INTO reco.activity VALUES
  ('page_view', 1, 'boot', NULL, '2100-01-01 12:00Z'),
  ('page_view', 2, 'hat', NULL, '2100-01-01 12:00Z'),
  ('page_view', 2, 'cap', NULL, '2100-01-01 12:00Z');
SELECT count(*) FROM lists;
INSERT INTO reco.product VALUES ('boot', 'shoes'), ('sandal', 'shoes'), ('hat', 'hats'), ('cap', 'hats'), ('bowler', 'hats');
SELECT * FROM lists ORDER BY 1;

-- a new product is offered
INSERT INTO reco.product VALUES ('clog', 'shoes'), ('loose', NULL);
SELECT * FROM lists ORDER BY 1;

-- moved to another category: it takes its views along, and leaves the lists it was on
UPDATE reco.product SET category = 'shoes' WHERE product_id = 'hat';
SELECT * FROM lists ORDER BY 1;
UPDATE reco.product SET category = 'hats' WHERE product_id = 'sandal';
SELECT * FROM lists ORDER BY 1;
UPDATE reco.product SET category = NULL WHERE product_id = 'cap';
SELECT * FROM lists ORDER BY 1;
UPDATE reco.product SET category = 'hats' WHERE product_id IN ('hat', 'cap', 'loose');
SELECT * FROM lists ORDER BY 1;

-- another key: the old name is gone, whoever viewed it
UPDATE reco.product SET product_id = 'beret' WHERE product_id = 'hat';
SELECT * FROM lists ORDER BY 1;

-- deleted: on no list any more
DELETE FROM reco.product WHERE product_id IN ('bowler', 'clog');
SELECT * FROM lists ORDER BY 1;

-- undone: nothing happened, also to what this session remembers
BEGIN;
DELETE FROM reco.product;
SELECT count(*) FROM lists;
ROLLBACK;
SELECT * FROM lists ORDER BY 1;
INSERT INTO reco.activity VALUES ('page_view', 3, 'boot', NULL, '2100-01-01 12:00Z');
INSERT INTO reco.product VALUES ('pump', 'shoes');
SELECT * FROM lists ORDER BY 1;
SELECT * FROM reco_verify();

-- a product has a name, and a category that has one, or none
INSERT INTO reco.product VALUES ('', 'shoes');
INSERT INTO reco.product VALUES (repeat('x', 513), 'shoes');
INSERT INTO reco.product VALUES ('x', '');

-- TRUNCATE begins a generation
TRUNCATE reco.product;
SELECT reco_sweep();
SELECT count(*) FROM lists;
SELECT count(*) FROM reco.user_views;
INSERT INTO reco.product VALUES ('pump', 'shoes'), ('boot', 'shoes');
SELECT * FROM lists ORDER BY 1;
SELECT * FROM reco_verify();
DROP VIEW lists;
