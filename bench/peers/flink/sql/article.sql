-- user_recommendations as RisingWave's article writes it: recent views joined with the catalog, counted per category; the top three
-- categories; every product of them; less what the user viewed; collected.

CREATE VIEW category_count AS
SELECT user_id, category, COUNT(*) AS view_count
FROM recent v JOIN catalog c ON v.product_id = c.product_id
GROUP BY user_id, category;

-- rank() <= 3 in what streaming Flink knows: all that have at least the views of the third by ROW_NUMBER.
CREATE VIEW top_category AS
SELECT c.user_id, c.category, c.view_count
FROM category_count c
JOIN (SELECT user_id, MIN(view_count) AS least
      FROM (SELECT user_id, view_count, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY view_count DESC) AS n FROM category_count)
      WHERE n <= 3
      GROUP BY user_id) l
    ON c.user_id = l.user_id AND c.view_count >= l.least;

CREATE VIEW candidate AS
SELECT t.user_id, p.product_id, t.view_count
FROM top_category t JOIN catalog p ON p.category = t.category
WHERE NOT EXISTS (SELECT 1 FROM recent r WHERE r.user_id = t.user_id AND r.product_id = p.product_id);

-- ARRAY_AGG has no order in Flink, so a function sorts what was collected and keeps the first 20.
INSERT INTO redis_recommendations
SELECT user_id, first_products(ARRAY_AGG(ROW(view_count, product_id)))
FROM candidate
GROUP BY user_id;
