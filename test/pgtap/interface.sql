-- The names that applications and DBAs rely on: tables, columns, functions, settings, and the errors that writers get.
BEGIN;
SELECT * FROM no_plan();

-- tables and views of the schema reco
SELECT columns_are('reco', 'trending_products', ARRAY['window_start', 'product_id', 'view_count']);
SELECT columns_are('reco', 'user_recommendations', ARRAY['user_id', 'recommended_products', 'updated_at']);
SELECT columns_are('reco', 'user_views', ARRAY['user_id', 'product_id', 'viewed_at']);
SELECT columns_are('reco', 'activity', ARRAY['event_type', 'user_id', 'product_id', 'query', 'timestamp']);
SELECT columns_are('reco', 'rejected', ARRAY['topic', 'partition', 'offset', 'reason', 'payload', 'rejected_at']);
SELECT columns_are('reco', 'offsets', ARRAY['topic', 'partition', 'next_offset']);
SELECT col_type_is('reco'::name, 'trending_products'::name, 'window_start'::name, 'timestamp with time zone');
SELECT col_type_is('reco'::name, 'trending_products'::name, 'view_count'::name, 'bigint');
SELECT col_type_is('reco'::name, 'user_recommendations'::name, 'user_id'::name, 'bigint');
SELECT col_type_is('reco'::name, 'user_recommendations'::name, 'recommended_products'::name, 'text[]');
SELECT col_type_is('reco'::name, 'rejected'::name, 'payload'::name, 'bytea');
SELECT col_type_is('reco'::name, 'offsets'::name, 'next_offset'::name, 'bigint');
SELECT has_column('reco'::name, 'product'::name, name, 'reco.product.' || name) FROM unnest(ARRAY['product_id', 'category', 'popularity']::name[]) name;
SELECT has_column('reco'::name, 'state'::name, name, 'reco.state.' || name) FROM unnest(ARRAY['clock', 'horizon', 'generation']::name[]) name;
SELECT is((SELECT count(*) FROM reco.state), 1::bigint, 'reco.state is one row');

-- a cache: unlogged, but for the parent of the partitions, which holds nothing
SELECT is_empty($$SELECT oid::regclass FROM pg_class
	WHERE relnamespace = 'reco'::regnamespace AND relkind = 'r' AND relpersistence <> 'u'$$, 'every table is unlogged');
SELECT is(c.relkind, 'p', 'reco.activity is partitioned') FROM pg_class c WHERE c.oid = 'reco.activity'::regclass;

-- functions stand beside the extension
SELECT has_function('public', name::name, arguments)
FROM (VALUES ('reco_for_user', ARRAY['bigint', 'integer']), ('reco_trending', ARRAY['integer', 'timestamp with time zone']),
			 ('reco_status', '{}'), ('reco_verify', ARRAY['double precision']), ('reco_redis_verify', '{}'),
			 ('reco_rebuild', '{}'), ('reco_progress', '{}'), ('reco_tick', ARRAY['timestamp with time zone'])) f (name, arguments);
SELECT is(pg_get_function_result('reco_for_user'::regproc),
	'TABLE(rank integer, product_id text, reason text, because text)', 'rows of reco_for_user()');
SELECT ok(obj_description(p.oid, 'pg_proc') IS NOT NULL, format('%s is described', p.oid::regprocedure))
FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND p.proname LIKE 'reco\_%';
SELECT ok(obj_description(c.oid, 'pg_class') IS NOT NULL, format('%s is described', c.oid::regclass))
FROM pg_class c
WHERE c.relnamespace = 'reco'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition AND c.relname <> 'reco_progress';

-- settings and their defaults
SELECT is(current_setting(name), value, format('default of %s', name))
FROM (VALUES ('reco.kafka_topic', 'user_activity'), ('reco.redis_user_key', '{user_id}'),
			 ('reco.redis_trending_key', 'trending:{window_start}'), ('reco.trending_window', '1h'), ('reco.recent_window', '1d'),
			 ('reco.retention', '0'), ('reco.trending_size', '10'), ('reco.max_user_views', '500'), ('reco.top_categories', '3'),
			 ('reco.max_recommendations', '20'), ('reco.popularity_interval', '5min'), ('reco.max_future', '1h')) s (name, value);
SELECT is_empty($$SELECT name, context FROM pg_settings
	WHERE name LIKE 'reco.%' AND context <> CASE name WHEN 'reco.database' THEN 'postmaster' ELSE 'sighup' END$$,
	'all settings but reco.database take effect on reload');
SELECT is_empty($$SELECT name FROM pg_settings WHERE name LIKE 'reco.%' AND short_desc = ''$$, 'each is described');

-- writers' errors
SELECT throws_ok($$UPDATE reco.activity SET user_id = 1$$, '0A000');
SELECT throws_ok($$INSERT INTO reco.activity VALUES ('page_view', 1, NULL, NULL, (SELECT clock FROM reco.state))$$, '23514');
SELECT throws_ok($$INSERT INTO reco.activity VALUES ('search', 1, NULL, NULL, (SELECT clock FROM reco.state))$$, '23514');
SELECT throws_ok($$INSERT INTO reco.activity VALUES ('', 1, NULL, NULL, (SELECT clock FROM reco.state))$$, '23514');
SELECT throws_ok($$INSERT INTO reco.activity VALUES ('page_view', 1, repeat('p', 513), NULL, (SELECT clock FROM reco.state))$$, '23514');
SELECT throws_ok($$INSERT INTO reco.activity VALUES ('page_view', 1, 'p', NULL, '2000-01-01')$$, '23514');
SELECT throws_ok($$SELECT * FROM reco_verify(2)$$, '22023');
SELECT lives_ok($$INSERT INTO reco.activity VALUES ('wishlist', 1, NULL, NULL, (SELECT clock FROM reco.state))$$, 'any other event is stored');

-- nothing for PUBLIC
SELECT is_empty($$SELECT p.oid::regprocedure
	FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'reco') AND p.prorettype <> 'trigger'::regtype
		AND has_function_privilege('public', p.oid, 'EXECUTE')$$, 'no function is for PUBLIC');

SELECT * FROM finish();
ROLLBACK;
