-- PUBLIC may do nothing; each kind of user needs only the GRANTs that the manual gives.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO';
DROP EXTENSION reco;
CREATE EXTENSION reco;
SELECT reco_tick('2100-01-01 12:30Z');
INSERT INTO reco.product VALUES ('a', 'x'), ('b', 'x');
INSERT INTO reco.activity VALUES ('page_view', 1, 'a', NULL, '2100-01-01 12:00Z');

SELECT p.oid::regprocedure AS open_to_public
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'reco')
  AND has_function_privilege('public', p.oid, 'EXECUTE') AND p.prorettype <> 'trigger'::regtype;
SELECT c.oid::regclass AS open_to_public
FROM pg_class c
WHERE c.relnamespace = 'reco'::regnamespace AND c.relkind IN ('r', 'p', 'v')
  AND has_table_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE');

CREATE ROLE regress_reco_nobody;
SET ROLE regress_reco_nobody;
SELECT * FROM reco.user_recommendations;
SELECT * FROM reco.activity;
SELECT * FROM reco_for_user(1);
SELECT reco_tick('2100-01-02Z');
SELECT reco_rebuild();
SELECT * FROM reco_verify();
INSERT INTO reco.activity VALUES ('page_view', 1, 'b', NULL, '2100-01-01 12:00Z');
RESET ROLE;

-- an application reads lists and trending, and nothing of what users viewed
CREATE ROLE regress_reco_application;
GRANT SELECT ON reco.user_recommendations, reco.trending_products TO regress_reco_application;
GRANT EXECUTE ON FUNCTION reco_for_user(bigint, integer) TO regress_reco_application;
SET ROLE regress_reco_application;
SET search_path = public, reco;
SELECT recommended_products FROM user_recommendations WHERE user_id = 1;
SELECT * FROM reco_for_user(1);
SELECT * FROM reco_for_user(NULL);
SELECT * FROM trending_products;
SELECT * FROM user_views;
SELECT * FROM user_state;
RESET search_path;
RESET ROLE;

-- one that only asks the functions needs no more than to be allowed that
CREATE ROLE regress_reco_caller;
GRANT EXECUTE ON FUNCTION reco_for_user(bigint, integer), reco_trending(integer, timestamptz)
  TO regress_reco_caller;
SET ROLE regress_reco_caller;
SELECT * FROM reco_for_user(1);
SELECT product_id, view_count FROM reco_trending(10, '2100-01-01 12:10Z');
SELECT product_id, view_count FROM reco_trending(1000, '2100-01-01 12:10Z');
SELECT * FROM reco.trending_products;
SELECT reco.list_products('{1}');
RESET ROLE;

-- an embedded writer inserts and reads nothing; the maintenance does not run with its rights
CREATE ROLE regress_reco_writer;
GRANT INSERT ON reco.activity TO regress_reco_writer;
SET ROLE regress_reco_writer;
INSERT INTO reco.activity VALUES ('page_view', 2, 'b', NULL, '2100-01-01 12:00Z');
SELECT * FROM reco.activity;
DELETE FROM reco.activity;
RESET ROLE;
SELECT user_id, recommended_products FROM reco.user_recommendations ORDER BY 1;

-- who may monitor the server sees how reco does, and no shopper's doings
CREATE ROLE regress_reco_watcher IN ROLE pg_monitor;
SET ROLE regress_reco_watcher;
SELECT count(*) > 0 AS status FROM reco_status();
SELECT count(*) AS progress FROM reco_progress();
SELECT count(*) > 0 AS counters FROM reco.counters();
SELECT count(*) > 0 AS workers FROM reco.workers();
SELECT count(*) AS state FROM reco.state;
SELECT count(*) AS offsets FROM reco.offsets;
SELECT has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS changes,
  array_agg(relname ORDER BY relname COLLATE "C") AS reads
FROM pg_class c
WHERE relnamespace = 'reco'::regnamespace AND relkind IN ('r', 'p', 'v') AND has_table_privilege(c.oid, 'SELECT')
GROUP BY 1;
SELECT * FROM reco.rejected;
SELECT * FROM reco.activity;
SELECT * FROM reco_for_user(1);
SELECT * FROM reco_verify();
RESET ROLE;

-- one who verifies
CREATE ROLE regress_reco_monitor;
GRANT EXECUTE ON FUNCTION reco_status(), reco_verify(double precision) TO regress_reco_monitor;
SET ROLE regress_reco_monitor;
SELECT count(*) > 0 AS status FROM reco_status();
SELECT * FROM reco_verify();
SELECT reco_sweep();
RESET ROLE;

REVOKE ALL ON reco.user_recommendations, reco.trending_products FROM regress_reco_application;
REVOKE ALL ON FUNCTION reco_for_user(bigint, integer) FROM regress_reco_application;
REVOKE ALL ON reco.activity FROM regress_reco_writer;
REVOKE ALL ON FUNCTION reco_status(), reco_verify(double precision) FROM regress_reco_monitor;
DROP OWNED BY regress_reco_caller;
DROP ROLE regress_reco_nobody, regress_reco_application, regress_reco_caller, regress_reco_watcher, regress_reco_writer, regress_reco_monitor;
