/* reco--1.0.sql: real-time recommendations; docs/architecture.md tells how the parts work together */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION reco" to load this file. \quit

-- Names are looked up in pg_catalog only, so that nobody who may create objects
-- in the extension's schema can intercept them.
SET LOCAL search_path TO pg_catalog, pg_temp;

--
-- Schema
--
-- Everything that can be computed again is UNLOGGED: after a crash all of it is
-- empty, and is computed again.  Server processes read and write these tables
-- by column position (src/common/own_tables.c).
--
-- Functions that applications, monitors and owners call are in the extension's
-- schema, with the prefix reco_; all others are in the schema reco.
--

CREATE SCHEMA reco;
COMMENT ON SCHEMA reco IS 'tables, views and internal functions of the extension reco';

--
-- State
--

CREATE UNLOGGED TABLE reco.state (
	clock timestamptz NOT NULL,
	horizon timestamptz NOT NULL,
	generation bigint NOT NULL,
	trending_window interval NOT NULL,
	recent_window interval NOT NULL,
	retention interval NOT NULL,
	trending_size integer NOT NULL,
	trending_max integer NOT NULL,
	max_user_views integer NOT NULL,
	top_categories integer NOT NULL,
	max_recommendations integer NOT NULL,
	popularity_at timestamptz NOT NULL,
	mirror_version bigint NOT NULL,
	numbers_version bigint NOT NULL,
	next_number integer NOT NULL DEFAULT 1
) USING heap WITH (fillfactor = 10);
COMMENT ON TABLE reco.state IS 'one row: the clock, and the parameters in force';
COMMENT ON COLUMN reco.state.clock IS 'reco''s current time, in whole seconds; never goes back';
COMMENT ON COLUMN reco.state.horizon IS 'start of the oldest window kept; earlier events are dropped';
COMMENT ON COLUMN reco.state.generation IS 'number of the popularity in use';
COMMENT ON COLUMN reco.state.trending_window IS 'reco.trending_window in force';
COMMENT ON COLUMN reco.state.recent_window IS 'reco.recent_window in force';
COMMENT ON COLUMN reco.state.retention IS 'reco.retention in force';
COMMENT ON COLUMN reco.state.trending_size IS 'reco.trending_size in force';
COMMENT ON COLUMN reco.state.trending_max IS 'reco.trending_max in force';
COMMENT ON COLUMN reco.state.max_user_views IS 'reco.max_user_views in force';
COMMENT ON COLUMN reco.state.top_categories IS 'reco.top_categories in force';
COMMENT ON COLUMN reco.state.max_recommendations IS 'reco.max_recommendations in force';
COMMENT ON COLUMN reco.state.popularity_at IS 'when the popularity was last computed, by the clock';
COMMENT ON COLUMN reco.state.mirror_version IS 'incremented by every change of reco.product, which invalidates caches of it';
COMMENT ON COLUMN reco.state.numbers_version IS 'incremented whenever product numbers are freed';
COMMENT ON COLUMN reco.state.next_number IS 'the lowest product number never used';

--
-- Activity
--
-- The parent is a plain table; its partitions are unlogged.  reco makes them
-- ahead of time and drops those that the horizon has passed.
--

CREATE TABLE reco.activity (
	event_type text NOT NULL,
	user_id bigint NOT NULL,
	product_id text COLLATE "C",
	query text,
	"timestamp" timestamptz NOT NULL DEFAULT clock_timestamp(),
	CONSTRAINT event_type_size CHECK (octet_length(event_type) BETWEEN 1 AND 64),
	CONSTRAINT product_id_size CHECK (octet_length(product_id) BETWEEN 1 AND 512),
	CONSTRAINT product_id_present CHECK (product_id IS NOT NULL
		OR event_type NOT IN ('page_view', 'click', 'add_to_cart', 'purchase')),
	CONSTRAINT query_present CHECK (query IS NOT NULL OR event_type <> 'search')
) PARTITION BY RANGE ("timestamp");
COMMENT ON TABLE reco.activity IS 'events since the horizon; INSERT and COPY have the same effect as messages from Kafka';
COMMENT ON COLUMN reco.activity.event_type IS 'page_view, click, search, add_to_cart, purchase or another name';
COMMENT ON COLUMN reco.activity.user_id IS 'the user who caused the event';
COMMENT ON COLUMN reco.activity.product_id IS 'the product concerned';
COMMENT ON COLUMN reco.activity.query IS 'the search query';
COMMENT ON COLUMN reco.activity."timestamp" IS 'time of the event';

--
-- Kafka
--

CREATE UNLOGGED TABLE reco.rejected (
	topic text NOT NULL,
	partition integer NOT NULL,
	"offset" bigint NOT NULL,
	reason text NOT NULL,
	payload bytea,
	payload_length bigint,
	rejected_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX rejected_at ON reco.rejected (rejected_at);
COMMENT ON TABLE reco.rejected IS 'Kafka messages that were rejected; old rows are removed';
COMMENT ON COLUMN reco.rejected.topic IS 'topic of the message';
COMMENT ON COLUMN reco.rejected.partition IS 'partition of the message';
COMMENT ON COLUMN reco.rejected."offset" IS 'offset of the message';
COMMENT ON COLUMN reco.rejected.reason IS 'why it was rejected';
COMMENT ON COLUMN reco.rejected.payload IS 'the message, or its first kB';
COMMENT ON COLUMN reco.rejected.payload_length IS 'length of the whole message, in bytes';
COMMENT ON COLUMN reco.rejected.rejected_at IS 'when it was rejected';

CREATE VIEW reco.rejections AS
	SELECT reason, count(*) AS messages, min(rejected_at) AS first_at, max(rejected_at) AS last_at,
		   (array_agg(encode(payload, 'escape') ORDER BY rejected_at DESC))[1] AS example
	FROM reco.rejected GROUP BY reason;
COMMENT ON VIEW reco.rejections IS 'why messages were rejected, and how often';
COMMENT ON COLUMN reco.rejections.reason IS 'reason of the rejection';
COMMENT ON COLUMN reco.rejections.messages IS 'number of messages rejected for it';
COMMENT ON COLUMN reco.rejections.first_at IS 'when the first of them was rejected';
COMMENT ON COLUMN reco.rejections.last_at IS 'when the last of them was rejected';
COMMENT ON COLUMN reco.rejections.example IS 'the last of them, or its first kB';

CREATE UNLOGGED TABLE reco.offsets (
	topic text NOT NULL,
	partition integer NOT NULL CHECK (partition >= 0),
	next_offset bigint NOT NULL CHECK (next_offset >= 0),
	trail bytea,
	PRIMARY KEY (topic, partition)
) USING heap WITH (fillfactor = 20);
ALTER TABLE reco.offsets ALTER COLUMN trail SET STORAGE PLAIN;
COMMENT ON TABLE reco.offsets IS 'where reading continues; committed together with the events read';
COMMENT ON COLUMN reco.offsets.topic IS 'the topic';
COMMENT ON COLUMN reco.offsets.partition IS 'its partition';
COMMENT ON COLUMN reco.offsets.next_offset IS 'the offset to read next';
COMMENT ON COLUMN reco.offsets.trail IS 'hashes of messages read, which tell whether the partition has been truncated or created again';

CREATE UNLOGGED TABLE reco.kafka_topic (
	topic text PRIMARY KEY,
	cluster_id text,
	replaying boolean NOT NULL
);
COMMENT ON TABLE reco.kafka_topic IS 'the cluster that a topic''s offsets refer to';
COMMENT ON COLUMN reco.kafka_topic.topic IS 'the topic';
COMMENT ON COLUMN reco.kafka_topic.cluster_id IS 'ID of the Kafka cluster';
COMMENT ON COLUMN reco.kafka_topic.replaying IS 'whether past messages are being read again';

--
-- The mirror of the catalog, and the dictionary of products
--

CREATE UNLOGGED TABLE reco.product (
	product_id text COLLATE "C" PRIMARY KEY,
	category text COLLATE "C",
	popularity bigint NOT NULL DEFAULT 0,
	CONSTRAINT product_id_size CHECK (octet_length(product_id) BETWEEN 1 AND 512),
	CONSTRAINT category_not_empty CHECK (category <> '')
) USING heap WITH (fillfactor = 50);
COMMENT ON TABLE reco.product IS 'mirror of the catalog, with the popularity in use';
COMMENT ON COLUMN reco.product.product_id IS 'the catalog''s key, as text';
COMMENT ON COLUMN reco.product.category IS 'its category; NULL: none';
COMMENT ON COLUMN reco.product.popularity IS 'its page views when the popularity was last computed';

-- Packed views, counters and lists contain numbers instead of product IDs.
CREATE UNLOGGED TABLE reco.product_number (
	product_id text COLLATE "C" PRIMARY KEY,
	number integer NOT NULL UNIQUE CHECK (number BETWEEN 0 AND 1000000000)
);
COMMENT ON TABLE reco.product_number IS 'numbers that stand for products in packed columns';
COMMENT ON COLUMN reco.product_number.product_id IS 'the product, whether or not the catalog contains it';
COMMENT ON COLUMN reco.product_number.number IS 'its number';

CREATE UNLOGGED TABLE reco.free_number (
	number integer NOT NULL CHECK (number BETWEEN 0 AND 1000000000)
);
COMMENT ON TABLE reco.free_number IS 'product numbers that can be used again';
COMMENT ON COLUMN reco.free_number.number IS 'a number that nothing refers to';

CREATE FUNCTION reco.reclaim() RETURNS void
	AS 'MODULE_PATHNAME', 'reco_reclaim'
	LANGUAGE C STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off;
COMMENT ON FUNCTION reco.reclaim() IS 'free the product numbers that nothing refers to';

--
-- Trending
--

-- Products with neighboring numbers share a row, so that a batch of events writes few rows.
CREATE UNLOGGED TABLE reco.window_counter (
	window_start timestamptz NOT NULL,
	bucket integer NOT NULL,
	counts bytea NOT NULL,
	PRIMARY KEY (window_start, bucket)
) USING heap WITH (fillfactor = 50);
ALTER TABLE reco.window_counter ALTER COLUMN counts SET STORAGE PLAIN;
COMMENT ON TABLE reco.window_counter IS 'page views by window and product, packed';
COMMENT ON COLUMN reco.window_counter.window_start IS 'start of the window';
COMMENT ON COLUMN reco.window_counter.bucket IS 'the row''s range of product numbers';
COMMENT ON COLUMN reco.window_counter.counts IS 'packed counters; reco.window_count shows them';

CREATE FUNCTION reco.unpack_counts(bucket integer, counts bytea, OUT number integer, OUT view_count bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'reco_unpack_counts'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 64;
COMMENT ON FUNCTION reco.unpack_counts(integer, bytea) IS 'product numbers and counts of a row of reco.window_counter';

CREATE VIEW reco.window_count AS
	SELECT w.window_start, w.bucket, c.number, c.view_count
	FROM reco.window_counter w CROSS JOIN LATERAL reco.unpack_counts(w.bucket, w.counts) c;
COMMENT ON VIEW reco.window_count IS 'page views by window and product';
COMMENT ON COLUMN reco.window_count.window_start IS 'start of the window';
COMMENT ON COLUMN reco.window_count.bucket IS 'the row of reco.window_counter that contains the count';
COMMENT ON COLUMN reco.window_count.number IS 'number of the product';
COMMENT ON COLUMN reco.window_count.view_count IS 'its page views in the window';

-- One row per window, since a batch of events changes most counts of its top.
CREATE UNLOGGED TABLE reco.window_top (
	window_start timestamptz PRIMARY KEY,
	numbers integer[] NOT NULL,
	view_counts bigint[] NOT NULL
) USING heap WITH (fillfactor = 10, toast_tuple_target = 8160);
ALTER TABLE reco.window_top ALTER COLUMN numbers SET STORAGE EXTERNAL, ALTER COLUMN view_counts SET STORAGE EXTERNAL;
COMMENT ON TABLE reco.window_top IS 'the most viewed products of each window, packed';
COMMENT ON COLUMN reco.window_top.window_start IS 'start of the window';
COMMENT ON COLUMN reco.window_top.numbers IS 'numbers of the products; reco.trending_products shows their IDs';
COMMENT ON COLUMN reco.window_top.view_counts IS 'their page views';

-- The owner's privileges of a view do not include EXECUTE on functions, so it is
-- granted to PUBLIC; the function checks that its caller may read such a view.
CREATE FUNCTION reco.list_products(list integer[]) RETURNS text[]
	AS 'MODULE_PATHNAME', 'reco_list_products'
	LANGUAGE C STABLE STRICT COST 100;
COMMENT ON FUNCTION reco.list_products(integer[]) IS 'IDs of the products that have these numbers';

CREATE VIEW reco.trending_products AS
	SELECT w.window_start, t.product_id COLLATE "C" AS product_id, t.view_count
	FROM reco.window_top w
		 CROSS JOIN LATERAL unnest(reco.list_products(w.numbers), w.view_counts) AS t(product_id, view_count);
COMMENT ON VIEW reco.trending_products IS 'the most viewed products of each window';
COMMENT ON COLUMN reco.trending_products.window_start IS 'start of the window';
COMMENT ON COLUMN reco.trending_products.product_id IS 'the product';
COMMENT ON COLUMN reco.trending_products.view_count IS 'its page views in the window';

--
-- Users' lists
--

-- One row per user, read and written once for a batch of events.  Half of each
-- page is left free for the new version of a row.  Autovacuum is slowed down, so
-- that events do not wait for a processor, and never analyzes: rows are found by
-- key, and its snapshot would keep the dead rows of all tables.
CREATE UNLOGGED TABLE reco.user_state (
	user_id bigint PRIMARY KEY,
	updated_at timestamptz NOT NULL,
	generation bigint NOT NULL,
	sent_at timestamptz,
	list integer[],
	recent bytea NOT NULL
) USING heap WITH (fillfactor = 50, toast_tuple_target = 8160,
	autovacuum_vacuum_cost_delay = 20,
	autovacuum_analyze_threshold = 2147483647, autovacuum_analyze_scale_factor = 100);
ALTER TABLE reco.user_state ALTER COLUMN recent SET STORAGE EXTERNAL;
COMMENT ON TABLE reco.user_state IS 'users'' lists, and the recent views from which they are computed, packed';
COMMENT ON COLUMN reco.user_state.user_id IS 'the user';
COMMENT ON COLUMN reco.user_state.updated_at IS 'when the list last changed';
COMMENT ON COLUMN reco.user_state.generation IS 'the generation with which the list was computed';
COMMENT ON COLUMN reco.user_state.sent_at IS 'when the list was last passed to the publisher';
COMMENT ON COLUMN reco.user_state.list IS 'numbers of the recommended products, best first; reco.user_recommendations shows their IDs';
COMMENT ON COLUMN reco.user_state.recent IS 'packed views, oldest first; reco.user_views shows them';

CREATE VIEW reco.user_recommendations AS
	SELECT user_id, reco.list_products(list) COLLATE "C" AS recommended_products, updated_at
	FROM reco.user_state
	WHERE list IS NOT NULL;
COMMENT ON VIEW reco.user_recommendations IS 'users'' lists';
COMMENT ON COLUMN reco.user_recommendations.user_id IS 'the user';
COMMENT ON COLUMN reco.user_recommendations.recommended_products IS 'the recommended products, best first';
COMMENT ON COLUMN reco.user_recommendations.updated_at IS 'when the list last changed';

CREATE FUNCTION reco.unpack_views(recent bytea, OUT number integer, OUT viewed_at timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'reco_unpack_views'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 20;
COMMENT ON FUNCTION reco.unpack_views(bytea) IS 'views packed in reco.user_state.recent';

CREATE VIEW reco.user_views AS
	SELECT u.user_id, n.product_id, v.viewed_at
	FROM reco.user_state u
	CROSS JOIN LATERAL reco.unpack_views(u.recent) v
	JOIN reco.product_number n ON n.number = v.number;
COMMENT ON VIEW reco.user_views IS 'the recent views from which users'' lists are computed';
COMMENT ON COLUMN reco.user_views.user_id IS 'the user';
COMMENT ON COLUMN reco.user_views.product_id IS 'the product viewed';
COMMENT ON COLUMN reco.user_views.viewed_at IS 'time of the view, rounded up to a second';

--
-- Triggers
--
-- Their functions run with the privileges of the tables' owner.  They fire for
-- every writer, regardless of session_replication_role.
--

CREATE FUNCTION reco.activity_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'reco_activity_changed'
	LANGUAGE C SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION reco.activity_changed() IS 'maintain the state derived from reco.activity';

CREATE FUNCTION reco.activity_rejected() RETURNS trigger
	AS 'MODULE_PATHNAME', 'reco_activity_rejected'
	LANGUAGE C SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION reco.activity_rejected() IS 'reject UPDATE, and writes to a partition by name';

CREATE FUNCTION reco.activity_replicated() RETURNS trigger
	AS 'MODULE_PATHNAME', 'reco_activity_replicated'
	LANGUAGE C;
COMMENT ON FUNCTION reco.activity_replicated() IS 'reject rows of logical replication, which fires no statement triggers';

CREATE FUNCTION reco.product_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'reco_product_changed'
	LANGUAGE C SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION reco.product_changed() IS 'maintain the state derived from reco.product';

CREATE FUNCTION reco.apply_events() RETURNS void
	AS 'MODULE_PATHNAME', 'reco_apply_events'
	LANGUAGE C STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION reco.apply_events() IS 'let events of the present transaction take effect before its commit';

CREATE FUNCTION reco.require_no_pending(what text) RETURNS void
	AS 'MODULE_PATHNAME', 'reco_require_no_pending'
	LANGUAGE C STRICT;
COMMENT ON FUNCTION reco.require_no_pending(text) IS 'reject a transaction with events that have not taken effect';

CREATE TRIGGER activity_insert_begin BEFORE INSERT ON reco.activity
	FOR EACH STATEMENT EXECUTE FUNCTION reco.activity_changed();
CREATE TRIGGER activity_insert AFTER INSERT ON reco.activity
	REFERENCING NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION reco.activity_changed();
CREATE TRIGGER activity_delete AFTER DELETE ON reco.activity
	REFERENCING OLD TABLE AS old_rows
	FOR EACH STATEMENT EXECUTE FUNCTION reco.activity_changed();
CREATE TRIGGER activity_truncate_begin BEFORE TRUNCATE ON reco.activity
	FOR EACH STATEMENT EXECUTE FUNCTION reco.activity_changed();
CREATE TRIGGER activity_truncate AFTER TRUNCATE ON reco.activity
	FOR EACH STATEMENT EXECUTE FUNCTION reco.activity_changed();
CREATE TRIGGER activity_update BEFORE UPDATE ON reco.activity
	FOR EACH STATEMENT EXECUTE FUNCTION reco.activity_rejected();
CREATE TRIGGER activity_replicated AFTER INSERT OR UPDATE OR DELETE ON reco.activity
	FOR EACH ROW EXECUTE FUNCTION reco.activity_replicated();
ALTER TABLE reco.activity ENABLE REPLICA TRIGGER activity_replicated;
ALTER TABLE reco.activity ENABLE ALWAYS TRIGGER activity_insert_begin;
ALTER TABLE reco.activity ENABLE ALWAYS TRIGGER activity_insert;
ALTER TABLE reco.activity ENABLE ALWAYS TRIGGER activity_delete;
ALTER TABLE reco.activity ENABLE ALWAYS TRIGGER activity_truncate_begin;
ALTER TABLE reco.activity ENABLE ALWAYS TRIGGER activity_truncate;
ALTER TABLE reco.activity ENABLE ALWAYS TRIGGER activity_update;

CREATE TRIGGER product_insert AFTER INSERT ON reco.product
	REFERENCING NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION reco.product_changed();
CREATE TRIGGER product_update AFTER UPDATE ON reco.product
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION reco.product_changed();
CREATE TRIGGER product_delete AFTER DELETE ON reco.product
	REFERENCING OLD TABLE AS old_rows
	FOR EACH STATEMENT EXECUTE FUNCTION reco.product_changed();
CREATE TRIGGER product_truncate AFTER TRUNCATE ON reco.product
	FOR EACH STATEMENT EXECUTE FUNCTION reco.product_changed();
ALTER TABLE reco.product ENABLE ALWAYS TRIGGER product_insert;
ALTER TABLE reco.product ENABLE ALWAYS TRIGGER product_update;
ALTER TABLE reco.product ENABLE ALWAYS TRIGGER product_delete;
ALTER TABLE reco.product ENABLE ALWAYS TRIGGER product_truncate;

--
-- Functions that applications call
--

CREATE FUNCTION @extschema@.reco_for_user(user_id bigint, n integer DEFAULT NULL)
	RETURNS TABLE (rank integer, product_id text, reason text, because text)
	AS 'MODULE_PATHNAME', 'reco_for_user'
	LANGUAGE C STABLE ROWS 20;
COMMENT ON FUNCTION @extschema@.reco_for_user(bigint, integer) IS 'the first n products of a user''s list, with the reason for each; NULL: all';

CREATE FUNCTION @extschema@.reco_trending(n integer DEFAULT 10, at timestamptz DEFAULT NULL)
	RETURNS TABLE (rank integer, product_id text, view_count bigint, window_start timestamptz)
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp ROWS 10
	BEGIN ATOMIC
		WITH w AS (
			SELECT pg_catalog.date_bin(s.trending_window, coalesce($2, s.clock), 'epoch'::timestamptz) AS window_start,
				coalesce($1, s.trending_size) <= least(s.trending_size, s.trending_max) AS maintained
			FROM reco.state s
		)
		SELECT (pg_catalog.rank() OVER (ORDER BY t.view_count DESC))::integer, t.product_id, t.view_count, t.window_start
		FROM (
			SELECT t.product_id, t.view_count, t.window_start
			FROM w JOIN reco.trending_products t USING (window_start)
			WHERE w.maintained
			UNION ALL
			SELECT n.product_id, c.view_count, c.window_start
			FROM w JOIN reco.window_count c USING (window_start)
			JOIN reco.product_number n ON n.number = c.number
			WHERE NOT w.maintained
		) t
		ORDER BY t.view_count DESC, t.product_id
		LIMIT $1;
	END;
COMMENT ON FUNCTION @extschema@.reco_trending(integer, timestamptz) IS 'the n most viewed products of the window that contains a time; NULL: the current window';

--
-- Functions that owners call
--
-- They run with the owner's privileges, so that a superuser who calls them does
-- not run whatever the owner has attached to the tables with his own.  JIT is
-- off, since they run many small statements.
--

CREATE FUNCTION @extschema@.reco_tick("to" timestamptz) RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'reco_tick'
	LANGUAGE C STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off;
COMMENT ON FUNCTION @extschema@.reco_tick(timestamptz) IS 'advance the clock, never back; returns the clock';

CREATE FUNCTION @extschema@.reco_take_popularity() RETURNS boolean
	AS 'MODULE_PATHNAME', 'reco_take_popularity'
	LANGUAGE C STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off;
COMMENT ON FUNCTION @extschema@.reco_take_popularity() IS 'compute the popularity of all products; true if a generation began';

CREATE FUNCTION @extschema@.reco_sweep(max_lists integer DEFAULT 10000) RETURNS bigint
	AS 'MODULE_PATHNAME', 'reco_sweep'
	LANGUAGE C STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off;
COMMENT ON FUNCTION @extschema@.reco_sweep(integer) IS 'compute some max_lists lists of older generations again; returns how many';

CREATE FUNCTION @extschema@.reco_rebuild() RETURNS void
	AS 'MODULE_PATHNAME', 'reco_rebuild'
	LANGUAGE C STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off;
COMMENT ON FUNCTION @extschema@.reco_rebuild() IS 'compute the derived state again from activity and mirror';

-- Remains the property of its creator, a superuser: its caller gives away the extension's objects.
CREATE FUNCTION reco.assign_role() RETURNS void
	AS 'MODULE_PATHNAME', 'reco_assign_role'
	LANGUAGE C STRICT;
COMMENT ON FUNCTION reco.assign_role() IS 'give reco''s objects to the role that reco.role names, or to the extension''s owner';

CREATE FUNCTION reco.announce() RETURNS void
	AS 'MODULE_PATHNAME', 'reco_announce'
	LANGUAGE C STRICT;
COMMENT ON FUNCTION reco.announce() IS 'have the workers start again, and everything published, when the transaction commits';

--
-- Functions that monitors call
--

CREATE FUNCTION reco.workers(OUT component text, OUT state text, OUT health text, OUT pid integer,
	OUT started_at timestamptz, OUT failures integer, OUT errors bigint, OUT lag_messages bigint,
	OUT lag_seconds double precision, OUT rate double precision,
	OUT last_error text, OUT last_error_at timestamptz, OUT last_error_over boolean,
	OUT blocked_by integer[])
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'reco_workers'
	LANGUAGE C STRICT VOLATILE ROWS 3;
COMMENT ON FUNCTION reco.workers() IS 'health of the background workers, by their last reports';

CREATE FUNCTION reco.state_row(OUT clock timestamptz, OUT horizon timestamptz, OUT generation bigint,
	OUT trending_window interval, OUT recent_window interval, OUT retention interval,
	OUT trending_size integer, OUT trending_max integer, OUT max_user_views integer, OUT top_categories integer,
	OUT max_recommendations integer, OUT popularity_at timestamptz, OUT mirror_version bigint,
	OUT numbers_version bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'reco_state_row'
	LANGUAGE C STRICT VOLATILE ROWS 1;
COMMENT ON FUNCTION reco.state_row() IS 'reco.state as last committed, from shared memory';

CREATE FUNCTION reco.service(OUT mode text, OUT extension oid, OUT database oid,
	OUT role text, OUT is_superuser boolean, OUT waits_for text)
	AS 'MODULE_PATHNAME', 'reco_service'
	LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION reco.service() IS
	'whether reco works here (on, off, elsewhere, standby), the object of its lock, reco.role (is_superuser is NULL if it does not exist), and what is needed if library and objects are of different versions';

CREATE FUNCTION reco.counters(OUT name text, OUT value bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'reco_counters'
	LANGUAGE C STRICT VOLATILE ROWS 30;
COMMENT ON FUNCTION reco.counters() IS 'counts, and nanoseconds by phase, since the server started';

CREATE FUNCTION @extschema@.reco_progress(OUT done bigint, OUT total bigint, OUT percent numeric,
	OUT estimated_end timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'reco_progress'
	LANGUAGE C STRICT VOLATILE ROWS 1;
COMMENT ON FUNCTION @extschema@.reco_progress() IS 'progress of a rebuild; no row if there is none';

-- Calls functions only and reads no table or view, so it answers whatever is locked.
CREATE FUNCTION @extschema@.reco_status()
	RETURNS TABLE (component text, state text, health text, pid integer, lag_messages bigint,
		lag_seconds double precision, rate double precision, last_error text,
		last_error_at timestamptz, last_error_over boolean, errors bigint,
		blocked_by integer[], detail jsonb)
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp ROWS 6
	AS $$
		WITH counter AS MATERIALIZED (SELECT * FROM reco.counters()),
		service AS MATERIALIZED (SELECT * FROM reco.service()),
		activity AS MATERIALIZED (
			SELECT a.pid, a.datid, a.backend_xmin, a.backend_xid, a.xact_start, a.backend_start,
				format('%s (pid %s, %s%s)', coalesce(pg_get_userbyid(a.usesysid)::text, a.backend_type), a.pid,
					coalesce(a.state, 'running'), ' since ' || date_trunc('second', a.state_change)) AS name
			FROM pg_stat_get_activity(NULL) a)
		SELECT w.component,
			w.state || coalesce(', waits for ' || CASE WHEN w.blocked_by IS NOT NULL THEN coalesce(
				(SELECT string_agg(a.name, ', ') FROM activity a WHERE a.pid = ANY (w.blocked_by)),
				'a prepared transaction') END, ''),
			w.health, w.pid, w.lag_messages, w.lag_seconds, w.rate, w.last_error, w.last_error_at,
			w.last_error_over, w.errors, w.blocked_by,
			(SELECT jsonb_object_agg(c.name, c.value) FROM counter c
			 WHERE split_part(c.name, '.', 1) = w.component AND w.errors IS NOT NULL)
			|| jsonb_build_object('failures', w.failures)
		FROM reco.workers() w
		UNION ALL
		SELECT 'state', coalesce(
				CASE WHEN p.total IS NOT NULL THEN format('rebuilding, %s %% done, until %s', p.percent, p.estimated_end) END,
				CASE v.mode WHEN 'standby' THEN 'standby: unlogged tables are empty here'
					WHEN 'elsewhere' THEN format('not in this database: reco.database is "%s"', current_setting('reco.database', true)) END,
				'waiting for ' || v.waits_for, 'generation ' || s.generation, 'not known since the server started'),
			CASE WHEN p.total IS NOT NULL THEN 'rebuilding'
				WHEN v.mode <> 'on' THEN 'off'
				WHEN v.waits_for IS NOT NULL THEN 'waiting'
				WHEN s.clock IS NULL THEN 'starting'
				WHEN clock_timestamp() - s.clock > interval '10 s' THEN 'waiting' ELSE 'ok' END,
			NULL, NULL, extract(epoch FROM clock_timestamp() - s.clock)::double precision, NULL,
			NULL, NULL, NULL, NULL,
			(SELECT array_agg(l.pid) FROM pg_lock_status() l
			 WHERE l.locktype = 'object' AND l.classid = 3079 AND l.database = v.database	-- pg_extension
				AND l.objid = v.extension AND l.objsubid = 0 AND l.mode = 'ExclusiveLock' AND l.granted),
			CASE WHEN s.clock IS NOT NULL THEN to_jsonb(s) END
		FROM service v CROSS JOIN reco.state_row() s LEFT JOIN @extschema@.reco_progress() p ON true
		UNION ALL
		SELECT 'role', CASE WHEN v.is_superuser IS NULL THEN format('the role "%s" of reco.role does not exist', v.role)
				WHEN NOT v.is_superuser THEN format('the workers run as "%s"', v.role)
				ELSE 'warning: the workers run as ' || CASE v.role WHEN '' THEN 'a superuser: reco.role is not set'
					ELSE format('"%s", a superuser', v.role) END END,
			CASE WHEN v.mode <> 'on' THEN 'off' WHEN v.is_superuser IS NULL THEN 'failing' ELSE 'ok' END,
			NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
		FROM service v
		UNION ALL
		SELECT 'snapshot', coalesce(o.holder || ' keeps dead rows from being removed', 'none older than a minute'),
			CASE WHEN o.holder IS NULL THEN 'ok' ELSE 'waiting' END,
			NULL, NULL, extract(epoch FROM clock_timestamp() - o.since)::double precision, NULL,
			NULL, NULL, NULL, NULL, CASE WHEN o.pid IS NOT NULL THEN ARRAY[o.pid] END, NULL
		FROM service v LEFT JOIN LATERAL (
			SELECT a.name AS holder, a.pid, coalesce(a.xact_start, a.backend_start) AS since,
				greatest(age(a.backend_xmin), age(a.backend_xid)) AS age
			FROM activity a
			WHERE coalesce(a.backend_xmin, a.backend_xid) IS NOT NULL AND v.mode <> 'standby'
				AND (a.datid = v.database OR coalesce(a.datid, 0) = 0)
				AND NOT EXISTS (SELECT FROM pg_stat_get_progress_info('VACUUM') i WHERE i.pid = a.pid)
			UNION ALL
			SELECT format('prepared transaction %L of %s', p.gid, pg_get_userbyid(p.ownerid)), NULL, p.prepared, age(p.transaction)
			FROM pg_prepared_xact() p
			WHERE p.dbid = v.database AND v.mode <> 'standby'
			ORDER BY age DESC, since LIMIT 1) o ON o.since < clock_timestamp() - interval '1 minute'
	$$;
COMMENT ON FUNCTION @extschema@.reco_status() IS 'state and health of each component, how far it is behind, and who blocks it';

CREATE FUNCTION @extschema@.reco_follow_position() RETURNS pg_lsn
	AS 'MODULE_PATHNAME', 'reco_follow_position'
	LANGUAGE C STRICT;
COMMENT ON FUNCTION @extschema@.reco_follow_position() IS 'WAL position up to which reco.product has the catalog''s changes; NULL if the catalog is not followed';

CREATE FUNCTION @extschema@.reco_follow_wait(timeout_ms integer DEFAULT 30000) RETURNS boolean
	AS 'MODULE_PATHNAME', 'reco_follow_wait'
	LANGUAGE C STRICT;
COMMENT ON FUNCTION @extschema@.reco_follow_wait(integer) IS 'wait until reco.product has every change committed by now; false if that takes longer than timeout_ms';

--
-- Verification, by plain SQL
--

-- One statement, so one snapshot.  It shares no code with the triggers.  A
-- product's position is its rank in the whole mirror; a list needs at most
-- max_recommendations products of a category besides those already viewed.
CREATE FUNCTION reco.verify_state(sample double precision)
RETURNS TABLE (relation text, key text, expected text, found text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off SET work_mem = '128MB'
AS $$
#variable_conflict use_column
DECLARE
	seed bigint := 4294967296 * random();
	share bigint := floor(4294967296 * sample);
	row record;
BEGIN
	FOR row IN
	WITH s AS MATERIALIZED (	-- the planner cannot know that it is one row
		SELECT * FROM reco.state LIMIT 1),
	window_count AS MATERIALIZED (
		SELECT date_bin(s.trending_window, a."timestamp", 'epoch') AS window_start,
			   a.product_id COLLATE "C" AS product_id, count(*) AS view_count
		FROM s JOIN reco.activity a ON a."timestamp" >= s.horizon
		WHERE a.event_type = 'page_view'
		GROUP BY 1, 2),
	trending AS (
		SELECT window_start, product_id, view_count
		FROM (SELECT *, rank() OVER (PARTITION BY window_start ORDER BY view_count DESC) AS r,
					 row_number() OVER (PARTITION BY window_start ORDER BY view_count DESC, product_id) AS n
			  FROM window_count) t JOIN s ON r <= s.trending_size AND n <= s.trending_max),
	recent AS MATERIALIZED (
		SELECT user_id, product_id, viewed_at
		FROM (SELECT user_id, product_id, viewed_at,
					 row_number() OVER (PARTITION BY user_id ORDER BY viewed_at DESC, product_id DESC) AS n
			  FROM (SELECT a.user_id, a.product_id COLLATE "C" AS product_id,
						   date_trunc('second', a."timestamp" + interval '999999 microseconds') AS viewed_at
					FROM s JOIN reco.activity a ON a."timestamp" > s.clock - s.recent_window
					WHERE a.event_type = 'page_view'
					  AND hashint8extended(a.user_id, seed) & 4294967295 < share) a) v
			 JOIN s ON n <= s.max_user_views),
	product AS MATERIALIZED (
		SELECT product_id, category, number,
			   row_number() OVER (ORDER BY popularity DESC, product_id COLLATE "C")::int AS pos
		FROM reco.product LEFT JOIN reco.product_number USING (product_id)
		WHERE category <> ''),
	shelf AS MATERIALIZED (
		SELECT category, array_agg(pos ORDER BY pos) AS positions
		FROM product GROUP BY category),
	viewed AS MATERIALIZED (
		SELECT user_id, category, pos FROM recent JOIN product USING (product_id)),
	ranked AS (	-- with the number of products to recommend from better categories
		SELECT user_id, category, seen, r,
			   sum(cardinality(positions) - seen) OVER (PARTITION BY user_id ORDER BY r
				   RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS better
		FROM (SELECT user_id, category, count(DISTINCT pos)::int AS seen,
					 rank() OVER (PARTITION BY user_id ORDER BY count(*) DESC) AS r
			  FROM viewed GROUP BY user_id, category) c
			 JOIN s ON r <= s.top_categories JOIN shelf USING (category)),
	candidate AS (
		SELECT user_id, pos, row_number() OVER (PARTITION BY user_id ORDER BY r, pos) AS n
		FROM ranked JOIN s ON s.max_recommendations = 0 OR better IS NULL OR better < s.max_recommendations
			 JOIN shelf USING (category)
			 CROSS JOIN unnest(CASE s.max_recommendations WHEN 0 THEN positions
							   ELSE positions[1:s.max_recommendations + seen] END) AS pos
		WHERE NOT EXISTS (SELECT FROM viewed v
						  WHERE v.user_id = ranked.user_id AND v.pos = pos.pos)),
	list AS (
		SELECT user_id, array_agg(number ORDER BY n) AS list
		FROM candidate JOIN product USING (pos) JOIN s ON n <= max_recommendations OR max_recommendations = 0
		GROUP BY user_id),
	held AS MATERIALIZED (
		SELECT u.user_id, u.list, u.generation, u.generation < s.generation AS is_older
		FROM s, reco.user_state u
		WHERE hashint8extended(u.user_id, seed) & 4294967295 < share)
	SELECT 'trending_products' AS relation, concat(window_start, ' ', product_id) AS key,
		   w.view_count::text AS expected, f.view_count AS found
	FROM trending w
		 FULL JOIN (SELECT window_start, coalesce(product_id, 'number ' || number, 'no number') AS product_id,
						   string_agg(coalesce(view_count::text, 'none'), ',') AS view_count
					FROM reco.window_top CROSS JOIN unnest(numbers, view_counts) AS t(number, view_count)
						 LEFT JOIN reco.product_number USING (number)
					GROUP BY 1, 2) f USING (window_start, product_id)
	WHERE w.view_count::text IS DISTINCT FROM f.view_count
	UNION ALL
	SELECT 'trending_products', window_start::text, NULL,
		   format('%s numbers, %s counts', coalesce(array_dims(numbers), 'no'), coalesce(array_dims(view_counts), 'no'))
	FROM reco.window_top
	WHERE array_ndims(numbers) IS DISTINCT FROM 1 OR array_ndims(view_counts) IS DISTINCT FROM 1
	   OR cardinality(numbers) <> cardinality(view_counts)
	UNION ALL
	SELECT 'window_count', concat(window_start, ' ', product_id), w.view_count::text, f.view_count
	FROM window_count w
		 FULL JOIN (SELECT window_start, product_id, string_agg(view_count::text, ',') AS view_count
					FROM reco.window_count LEFT JOIN reco.product_number USING (number)
					WHERE window_start >= (SELECT horizon FROM s)
					GROUP BY window_start, product_id) f USING (window_start, product_id)
	WHERE w.view_count::text IS DISTINCT FROM f.view_count
	UNION ALL
	SELECT 'user_views', concat(user_id, ' ', product_id, ' ', viewed_at), w.n::text, f.n::text
	FROM (SELECT user_id, product_id, viewed_at, count(*) AS n FROM recent GROUP BY 1, 2, 3) w
		 FULL JOIN (SELECT user_id, product_id, viewed_at, count(*) AS n FROM reco.user_views
					WHERE hashint8extended(user_id, seed) & 4294967295 < share
					GROUP BY 1, 2, 3) f USING (user_id, product_id, viewed_at)
	WHERE w.n IS DISTINCT FROM f.n
	UNION ALL
	SELECT 'user_state', user_id::text, CASE WHEN is_recent THEN 'generation ' || s.generation END,
		   'generation ' || held.generation
	FROM s CROSS JOIN held
		 LEFT JOIN (SELECT DISTINCT user_id, true AS is_recent FROM recent) r USING (user_id)
	WHERE is_recent IS NULL OR held.generation > s.generation
	UNION ALL
	SELECT 'user_recommendations', user_id::text,
		   CASE WHEN w.list IS NOT NULL THEN ARRAY(
			SELECT coalesce(product_id, 'number ' || number, 'no number')
			FROM unnest(w.list) WITH ORDINALITY l(number, n) LEFT JOIN reco.product_number USING (number)
			ORDER BY n)::text END,
		   CASE WHEN f.list IS NOT NULL THEN ARRAY(
			SELECT coalesce(product_id, 'number ' || number, 'no number')
			FROM unnest(f.list) WITH ORDINALITY l(number, n) LEFT JOIN reco.product_number USING (number)
			ORDER BY n)::text END
	FROM list w FULL JOIN held f USING (user_id)
	WHERE w.list IS DISTINCT FROM f.list AND f.is_older IS NOT TRUE
	UNION ALL
	SELECT NULL, NULL, NULL, count(*)::text FROM held WHERE is_older HAVING count(*) > 0
	LOOP
		IF row.relation IS NULL THEN
			RAISE NOTICE 'lists of an older generation that are left out: %', row.found;
		ELSE
			RETURN QUERY SELECT row.relation, row.key, row.expected, row.found;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION reco.verify_state(double precision) IS 'the part of reco_verify() that checks the derived state';

-- No query may name the catalog: planning it would run its owner's functions.
CREATE FUNCTION reco.catalog_rows(OUT product_id text, OUT category text, OUT version xid)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'reco_catalog_rows'
	LANGUAGE C STRICT VOLATILE ROWS 100000;
COMMENT ON FUNCTION reco.catalog_rows() IS 'rows of the table that reco.catalog_table names, as the follow worker reads them';

-- As {product_id: {expected, found, version, needs}}, for the given products or
-- for all; needs: how many more comparisons must find the same.
CREATE FUNCTION reco.mirror_differences(keys jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
	SELECT jsonb_object_agg(product_id, jsonb_build_object('version', coalesce(c.version, p.version),
			   'needs', CASE WHEN c.is_held THEN 1 ELSE 5 END,
			   'expected', CASE WHEN c.is_held THEN coalesce(c.category, '(no category)') END,
			   'found', CASE WHEN p.is_held THEN coalesce(p.category, '(no category)') END))
	FROM (SELECT product_id COLLATE "C" AS product_id, true AS is_held,
				 min(category COLLATE "C") FILTER (WHERE octet_length(category) BETWEEN 1 AND 2048) AS category,
				 max(version::text) AS version
		  FROM reco.catalog_rows()
		  WHERE octet_length(product_id) BETWEEN 1 AND 512
		  GROUP BY 1) c
		 FULL JOIN (SELECT product_id, true AS is_held, category, 'mirror ' || xmin::text AS version
					FROM reco.product) p USING (product_id)
	WHERE (c.is_held, c.category) IS DISTINCT FROM (p.is_held, p.category)
	  AND (keys IS NULL OR keys ? product_id)
$$;
COMMENT ON FUNCTION reco.mirror_differences(jsonb) IS 'products in which mirror and catalog differ';

-- A change may just not have been followed yet.  So a product that differs is
-- compared again when the follow worker has passed the WAL position of the first
-- comparison, and is reported if the catalog's row is still the same.  If the
-- catalog has no row, the mirror's row must be the same in five more comparisons,
-- because a product that is inserted and deleted between two of them leaves no
-- trace in the catalog.
CREATE FUNCTION reco.verify_catalog()
RETURNS TABLE (relation text, key text, expected text, found text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off SET work_mem = '128MB'
AS $$
#variable_conflict use_column
DECLARE
	seen jsonb;
	again jsonb;
	followed boolean;
	reason text;
	advice text;
BEGIN
	IF coalesce(current_setting('reco.catalog_table', true), '') = '' THEN
		RETURN;
	END IF;

	BEGIN
		seen := reco.mirror_differences(NULL);
	EXCEPTION WHEN undefined_table OR undefined_column OR wrong_object_type OR insufficient_privilege
		OR invalid_name OR invalid_parameter_value OR feature_not_supported OR object_not_in_prerequisite_state THEN
		GET STACKED DIAGNOSTICS reason = MESSAGE_TEXT, advice = PG_EXCEPTION_HINT;
		RAISE WARNING 'the mirror is not compared: %', reason
			USING HINT = coalesce(nullif(advice, ''), 'See reco_status().');
		RETURN;
	END;
	FOR round IN 1..20 LOOP
		EXIT WHEN seen IS NULL;
		IF current_setting('transaction_isolation') <> 'read committed' THEN
			RAISE EXCEPTION 'reco_verify() cannot tell a wrong row of reco.product from one on its way in this transaction'
				USING ERRCODE = 'feature_not_supported',
					  HINT = 'Run it in a READ COMMITTED transaction.';
		END IF;
		followed := @extschema@.reco_follow_wait(30000);
		IF NOT followed THEN
			RAISE WARNING 'the catalog is not being followed: reco.product is compared as it is'
				USING HINT = 'See reco_status().';
		END IF;

		again := reco.mirror_differences(seen);
		SELECT jsonb_object_agg(product_id, d.value || jsonb_build_object('same',
				   CASE WHEN d.value->'version' = seen->product_id->'version'
				   THEN coalesce((seen->product_id->>'same')::integer, 0) + 1 ELSE 0 END))
		INTO again
		FROM jsonb_each(again) AS d(product_id, value);
		RETURN QUERY
			SELECT 'product', product_id, d.value->>'expected', d.value->>'found'
			FROM jsonb_each(again) AS d(product_id, value)
			WHERE NOT followed OR (d.value->>'same')::integer >= (d.value->>'needs')::integer;
		SELECT jsonb_object_agg(product_id, d.value) INTO seen
		FROM jsonb_each(again) AS d(product_id, value)
		WHERE followed AND (d.value->>'same')::integer < (d.value->>'needs')::integer;
	END LOOP;
	IF seen IS NOT NULL THEN
		RAISE NOTICE 'products that changed too often to be compared: %',
			(SELECT count(*) FROM jsonb_object_keys(seen));
	END IF;
END
$$;
COMMENT ON FUNCTION reco.verify_catalog() IS 'the part of reco_verify() that compares mirror and catalog';

CREATE FUNCTION @extschema@.reco_verify(sample double precision DEFAULT 1)
RETURNS TABLE (relation text, key text, expected text, found text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	what text := (SELECT waits_for FROM reco.service());
BEGIN
	IF sample IS NULL OR NOT sample BETWEEN 0 AND 1 THEN
		RAISE EXCEPTION 'sample of reco_verify() must be between 0 and 1'
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'It is the share of users to verify: 1 for all, 0.01 for one in a hundred.';
	END IF;
	PERFORM reco.require_no_pending('reco_verify()');
	IF pg_is_in_recovery() THEN
		RAISE EXCEPTION 'cannot read reco''s unlogged tables during recovery'
			USING ERRCODE = 'feature_not_supported',
				  HINT = 'Ask the primary, or read the lists from Redis.';
	END IF;
	IF what IS NOT NULL THEN
		RAISE EXCEPTION 'cannot verify: reco waits for %', what
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  HINT = 'See reco_status().';
	END IF;
	RETURN QUERY SELECT * FROM reco.verify_state(sample);
	RETURN QUERY SELECT * FROM reco.verify_catalog();
END
$$;
COMMENT ON FUNCTION @extschema@.reco_verify(double precision) IS
	'rows of derived state and mirror that differ from what activity and catalog imply; none if all is well';

CREATE FUNCTION @extschema@.reco_redis_verify()
	RETURNS TABLE (key text, expected text, found text)
	AS 'MODULE_PATHNAME', 'reco_redis_verify'
	LANGUAGE C VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off;
COMMENT ON FUNCTION @extschema@.reco_redis_verify() IS 'keys in Redis that differ from the tables; none if all is well';

--
-- Privileges
--

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA reco FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.reco_for_user(bigint, integer), @extschema@.reco_trending(integer, timestamptz),
	@extschema@.reco_tick(timestamptz), @extschema@.reco_take_popularity(), @extschema@.reco_sweep(integer),
	@extschema@.reco_rebuild(), @extschema@.reco_progress(), @extschema@.reco_status(),
	@extschema@.reco_follow_position(), @extschema@.reco_follow_wait(integer),
	@extschema@.reco_verify(double precision), @extschema@.reco_redis_verify()
	FROM PUBLIC;
GRANT USAGE ON SCHEMA reco TO PUBLIC;
GRANT EXECUTE ON FUNCTION reco.list_products(integer[]) TO PUBLIC;

-- Monitoring shows the health of reco, but no activity of shoppers.
GRANT EXECUTE ON FUNCTION @extschema@.reco_status(), @extschema@.reco_progress(), reco.workers(), reco.counters() TO pg_monitor;
GRANT SELECT ON reco.state, reco.offsets TO pg_monitor;

--
-- Start: make the first row of reco.state and the first partitions; give
-- everything to reco.role, if that is set and exists; start the workers.  If the
-- library has another version, that happens after the update to it.
--

SELECT @extschema@.reco_tick(now()) FROM reco.service() WHERE waits_for IS NULL;
SELECT reco.assign_role() FROM reco.service() WHERE waits_for IS NULL;
SELECT reco.announce();
