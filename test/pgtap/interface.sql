-- The interface that applications and DBAs rely on: names, columns, types, and who may do what.
BEGIN;
SELECT no_plan();

-- tables and views of the schema reco, with their columns in order
SELECT columns_are('reco', relation, columns, format('reco.%s has its columns', relation))
FROM (VALUES
	('trending_products', '{window_start,product_id,view_count}'::name[]),
	('user_recommendations', '{user_id,recommended_products,updated_at}'),
	('user_views', '{user_id,product_id,viewed_at}'),
	('activity', '{event_type,user_id,product_id,query,timestamp}'),
	('rejections', '{reason,messages,first_at,last_at,example}'),
	('rejected', '{topic,partition,offset,reason,payload,payload_length,rejected_at}'),
	('offsets', '{topic,partition,next_offset,trail}'),
	('product', '{product_id,category,popularity}')
) AS t(relation, columns);

SELECT col_type_is('reco', 'user_recommendations', 'recommended_products', 'text[]', 'a list is an array of text');
SELECT col_type_is('reco', 'rejected', 'payload', 'bytea', 'a payload is bytes');
SELECT col_type_is('reco', 'offsets', 'next_offset', 'bigint', 'an offset is a bigint');
SELECT has_column('reco', 'state', column_name, format('reco.state has %s', column_name))
FROM unnest('{clock,horizon,generation,trending_window,recent_window,retention,trending_size,trending_max,max_user_views,top_categories,max_recommendations}'::name[]) column_name;

-- what can be rebuilt is unlogged, the partitions of activity too
SELECT is(c.relpersistence, CASE c.relkind WHEN 'p' THEN 'p' ELSE 'u' END::"char", format('%s is %s', c.oid::regclass,
	CASE c.relkind WHEN 'p' THEN 'a plain parent' ELSE 'unlogged' END))
FROM pg_class c
WHERE c.relnamespace = 'reco'::regnamespace AND c.relkind IN ('r', 'p')
ORDER BY c.relkind, c.relname COLLATE "C";

-- outside of the schema reco just these functions; with the names of their parameters
SELECT results_eq($$
	SELECT p.oid::regprocedure::text, pg_get_function_identity_arguments(p.oid) COLLATE "default"
	FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	WHERE e.extname = 'reco' AND p.pronamespace <> 'reco'::regnamespace ORDER BY p.proname COLLATE "C" $$, $$ VALUES
	('reco_follow_position()', ''),
	('reco_follow_wait(integer)', 'timeout_ms integer'),
	('reco_for_user(bigint,integer)', 'user_id bigint, n integer'),
	('reco_progress()', 'OUT done bigint, OUT total bigint, OUT percent numeric, OUT estimated_end timestamp with time zone'),
	('reco_rebuild()', ''),
	('reco_redis_verify()', ''),
	('reco_status()', ''),
	('reco_sweep(integer)', 'max_lists integer'),
	('reco_take_popularity()', ''),
	('reco_tick(timestamp with time zone)', '"to" timestamp with time zone'),
	('reco_trending(integer,timestamp with time zone)', 'n integer, at timestamp with time zone'),
	('reco_verify(double precision)', 'sample double precision')
	$$, 'these functions are called by applications, owners and monitors');

-- \d+, \df+ and \dn+ tell what each is
SELECT is_empty($$
	SELECT c.oid::regclass, a.attname FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
	WHERE c.relnamespace = 'reco'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
		AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL)
	UNION ALL
	SELECT NULL, p.oid::regprocedure::text FROM pg_proc p
	JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	WHERE e.extname = 'reco' AND obj_description(p.oid, 'pg_proc') IS NULL $$,
	'tables, views, their columns and functions are described');

SELECT is(pg_get_function_result(p.oid), 'TABLE(component text, state text, health text, pid integer, '
	'lag_messages bigint, lag_seconds double precision, rate double precision, last_error text, '
	'last_error_at timestamp with time zone, last_error_over boolean, errors bigint, blocked_by integer[], detail jsonb)',
	'reco_status() has its columns')
FROM pg_proc p WHERE p.proname = 'reco_status';
SELECT is_empty($$ SELECT FROM reco_status() WHERE health NOT IN
	('ok', 'starting', 'waiting', 'failing', 'rebuilding', 'rejecting', 'off') OR health IS NULL $$, 'health is one of seven');

-- PUBLIC may read and run nothing that shows or changes anything
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class c
	WHERE c.relnamespace = 'reco'::regnamespace AND c.relacl::text ~ '[{,]=' $$,
	'no table or view is open to PUBLIC');
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc p
	JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	WHERE e.extname = 'reco' AND (p.proacl IS NULL OR p.proacl::text ~ '[{,]=X')
		AND p.proname <> 'list_products' $$,
	'no function may be run by PUBLIC but the one that names products');
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc p
	JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	WHERE e.extname = 'reco' AND p.prosecdef AND NOT coalesce(p.proconfig::text ~ 'search_path', false) $$,
	'every function with its owner''s rights fixes its search_path');

-- what a process waits for has a name where the server lets it
SELECT matches(wait_event, CASE WHEN current_setting('server_version_num')::int >= 170000 THEN '^RecoWorker$' ELSE '^Extension$' END,
	'the launcher waits by name')
FROM pg_stat_activity WHERE backend_type = 'reco launcher';

-- every setting says what it is, and belongs to reco
SELECT cmp_ok(count(*), '>=', 25::bigint, 'the settings are there') FROM pg_settings WHERE name LIKE 'reco.%';
SELECT is_empty($$SELECT name FROM pg_settings WHERE name LIKE 'reco.%' AND coalesce(short_desc, '') = ''$$,
	'every setting is described');
SELECT is_empty($$SELECT name FROM pg_settings WHERE name LIKE 'reco.%' AND context <> 'sighup' AND name <> 'reco.database'$$,
	'all settings but reco.database take effect on reload');

SELECT * FROM finish();
ROLLBACK;
