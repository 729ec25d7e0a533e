-- user_recommendations for little state and few rows an event: no product of a category ever travels alone.
-- One event changes one row of `taste`, that is one row of `part`, that is one list.

CREATE VIEW shelf AS
SELECT category, ARRAY_SORT(ARRAY_AGG(product_id)) AS products FROM catalog GROUP BY category;

CREATE VIEW taste AS
SELECT user_id, category, COUNT(*) AS view_count, ARRAY_AGG(v.product_id) AS viewed
FROM recent v JOIN catalog c ON v.product_id = c.product_id
GROUP BY user_id, category;

-- unseen: the first 20 of the shelf that the user did not view, packed.
CREATE VIEW part AS
SELECT t.user_id, t.category, t.view_count, unseen(s.products, t.viewed) AS products
FROM taste t JOIN shelf s ON t.category = s.category;

-- best: of the three categories with most views (all that tie stay) the first 20 products.
INSERT INTO redis_recommendations
SELECT user_id, recommended_products
FROM (SELECT user_id, best(category, view_count, products) AS recommended_products FROM part GROUP BY user_id)
WHERE CARDINALITY(recommended_products) > 0;
