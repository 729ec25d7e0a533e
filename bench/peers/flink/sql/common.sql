-- What both variants share: the sources, the Redis tables, and trending_products.

CREATE TABLE activity (
    event_type STRING,
    user_id BIGINT,
    product_id STRING,
    `timestamp` TIMESTAMP_LTZ(3),
    sent TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) WITH (
    'connector' = 'kafka',
    'topic' = '${TOPIC}',
    'properties.bootstrap.servers' = '${KAFKA}',
    'scan.startup.mode' = 'earliest-offset',
    'scan.bounded.mode' = 'latest-offset',
    'format' = 'json',
    'json.ignore-parse-errors' = 'true',
    'json.timestamp-format.standard' = 'ISO-8601'
);

-- In production this would be CDC of the shop's table: the statements below take its changes as they are.
CREATE TABLE catalog_file (
    product_id STRING,
    category STRING,
    PRIMARY KEY (product_id) NOT ENFORCED
) WITH (
    'connector' = 'filesystem',
    'path' = '${CATALOG}',
    'format' = 'csv',
    'csv.field-delimiter' = '\t',
    'csv.disable-quote-character' = 'true'
);

CREATE TABLE redis_trending (
    window_start TIMESTAMP_LTZ(3),
    products ARRAY<ROW<product_id STRING, view_count BIGINT>>,
    PRIMARY KEY (window_start) NOT ENFORCED
) WITH ('connector' = 'redis', 'port' = '${REDIS_PORT}');

CREATE TABLE redis_recommendations (
    user_id BIGINT,
    recommended_products ARRAY<STRING>,
    PRIMARY KEY (user_id) NOT ENFORCED
) WITH ('connector' = 'redis', 'port' = '${REDIS_PORT}');

CREATE VIEW catalog AS
SELECT product_id, category FROM catalog_file WHERE product_id <> '' AND category <> '';

-- after_catalog() keeps activity back until the catalog was taken, as in a system that runs already.
CREATE VIEW page_view AS
SELECT user_id, product_id, viewed_at
FROM (SELECT user_id, product_id, COALESCE(`timestamp`, sent) AS viewed_at, sent
      FROM activity
      WHERE after_catalog() AND event_type = 'page_view' AND user_id IS NOT NULL AND product_id <> '')
WHERE viewed_at <= sent + INTERVAL '1' HOUR;

CREATE VIEW recent AS
SELECT user_id, product_id FROM page_view WHERE viewed_at > CURRENT_TIMESTAMP - INTERVAL '24' HOUR;

-- A plain aggregate by the window's start, not Flink's window aggregate: that says nothing before the hour is over.
-- top_ties is rank() <= 10: Flink's own streaming Top-N knows ROW_NUMBER only, which drops what ties at the tenth place.
INSERT INTO redis_trending
SELECT window_start, top_ties(product_id, view_count)
FROM (SELECT window_start, product_id, COUNT(*) AS view_count
      FROM (SELECT FLOOR(viewed_at TO HOUR) AS window_start, product_id FROM page_view
            WHERE viewed_at >= FLOOR(CURRENT_TIMESTAMP - INTERVAL '25' HOUR TO HOUR))
      GROUP BY window_start, product_id)
GROUP BY window_start;
