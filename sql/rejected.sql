-- What reco.activity rejects, and with which messages.
SET timezone = 'UTC';
SET datestyle = 'ISO';
DROP EXTENSION reco;
CREATE EXTENSION reco;
SELECT reco_tick('2100-01-01 12:30Z');

\set VERBOSITY terse
INSERT INTO reco.activity VALUES ('', 1, 'a', NULL, '2100-01-01 12:00Z');
INSERT INTO reco.activity VALUES (repeat('x', 65), 1, 'a', NULL, '2100-01-01 12:00Z');
INSERT INTO reco.activity VALUES (NULL, 1, 'a', NULL, '2100-01-01 12:00Z');
INSERT INTO reco.activity VALUES ('page_view', NULL, 'a', NULL, '2100-01-01 12:00Z');
INSERT INTO reco.activity VALUES ('page_view', 1, 'a', NULL, NULL);
INSERT INTO reco.activity VALUES ('page_view', 1, NULL, NULL, '2100-01-01 12:00Z');
INSERT INTO reco.activity VALUES ('click', 1, NULL, NULL, '2100-01-01 12:00Z');
INSERT INTO reco.activity VALUES ('add_to_cart', 1, NULL, NULL, '2100-01-01 12:00Z');
INSERT INTO reco.activity VALUES ('purchase', 1, NULL, NULL, '2100-01-01 12:00Z');
INSERT INTO reco.activity VALUES ('search', 1, 'a', NULL, '2100-01-01 12:00Z');
INSERT INTO reco.activity VALUES ('page_view', 1, '', NULL, '2100-01-01 12:00Z');
INSERT INTO reco.activity VALUES ('page_view', 1, repeat('ü', 257), NULL, '2100-01-01 12:00Z');
INSERT INTO reco.activity VALUES ('page_view', 1, 'late', NULL, '2099-12-01Z');
INSERT INTO reco.activity VALUES ('page_view', 1, 'far ahead', NULL, '2100-02-01Z');
INSERT INTO reco.activity VALUES ('page_view', 1, 'never', NULL, 'infinity');
-- one bad row, and the statement does nothing
INSERT INTO reco.activity VALUES
  ('page_view', 1, 'a', NULL, '2100-01-01 12:00Z'),
  ('page_view', 1, '', NULL, '2100-01-01 12:00Z');
SELECT count(*) FROM reco.activity;

-- the longest, the least, any other type
INSERT INTO reco.activity VALUES
  ('page_view', 9223372036854775807, repeat('ü', 256), NULL, '2100-01-01 12:00Z'),
  ('page_view', -9223372036854775808, 'a', 'why', '2100-01-01 12:00Z'),
  (repeat('x', 64), 0, NULL, NULL, '2100-01-01 12:00Z'),
  ('search', 0, NULL, '', '2100-01-01 12:00Z'),
  ('page_view', 2, 'edge', NULL, '2100-01-01 13:30Z');
SELECT count(*) FROM reco.activity;
SELECT count(*) FROM reco.user_state;

-- what would pass the maintenance by
\set VERBOSITY default
UPDATE reco.activity SET user_id = 2;
INSERT INTO reco.activity VALUES ('page_view', 1, 'a', NULL, '2100-01-01 12:00Z')
  ON CONFLICT DO NOTHING;
\set VERBOSITY terse
DO $$
DECLARE
  leaf regclass := (SELECT min(tableoid::bigint)::oid FROM reco.activity WHERE user_id = 2);
  command text;
BEGIN
  FOREACH command IN ARRAY '{"INSERT INTO %s SELECT * FROM %1$s", "DELETE FROM %s", "UPDATE %s SET user_id = 5", "TRUNCATE %s"}'::text[] LOOP
    BEGIN
      EXECUTE format(command, leaf);
      RAISE WARNING '% was not refused', split_part(command, ' ', 1);
    EXCEPTION WHEN OTHERS THEN
      RAISE NOTICE '%: %', split_part(command, ' ', 1), SQLERRM;
    END;
  END LOOP;
END $$;

-- a prepared transaction would keep the lock
\set VERBOSITY default
BEGIN;
INSERT INTO reco.activity VALUES ('page_view', 1, 'a', NULL, '2100-01-01 12:00Z');
PREPARE TRANSACTION 'activity';
-- no way around by replica mode
SET session_replication_role = replica;
INSERT INTO reco.activity VALUES ('page_view', 3, 'b', NULL, '2100-01-01 12:00Z');
RESET session_replication_role;
SELECT * FROM reco.user_views WHERE user_id = 3;
-- a writer needs a snapshot for each statement
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO reco.activity VALUES ('page_view', 3, 'c', NULL, '2100-01-01 12:00Z');
ROLLBACK;
CREATE TABLE attempt (n int, command text);
INSERT INTO attempt VALUES
	(1, $$INSERT INTO reco.activity VALUES ('page_view', 3, 'c', NULL, '2100-01-01 12:00Z')$$),
	(2, $$INSERT INTO reco.activity SELECT * FROM reco.activity WHERE false$$),
	(3, $$COPY reco.activity FROM PROGRAM 'true'$$),
	(4, $$MERGE INTO reco.activity a USING (VALUES (3)) v(u) ON false
		WHEN NOT MATCHED THEN INSERT VALUES ('page_view', u, 'c', NULL, '2100-01-01 12:00Z')$$),
	(5, $$DELETE FROM reco.activity$$),
	(6, $$TRUNCATE reco.activity$$),
	(7, $$INSERT INTO reco.product VALUES ('c', 'x')$$),
	(8, $$UPDATE reco.product SET category = 'x'$$),
	(9, $$DELETE FROM reco.product$$),
	(10, $$TRUNCATE reco.product$$),
	(11, $$SELECT reco_tick('2100-01-01 12:00:01Z')$$),
	(12, $$SELECT reco_rebuild()$$),
	(13, $$SELECT reco_take_popularity()$$),
	(14, $$SELECT reco_sweep()$$),
	(15, $$SELECT reco.reclaim()$$);
CREATE FUNCTION try() RETURNS TABLE (n int, state text, message text) LANGUAGE plpgsql AS $$
DECLARE
	a record;
BEGIN
	FOR a IN SELECT * FROM attempt ORDER BY attempt.n LOOP
		n := a.n;
		state := 'done';
		message := NULL;
		BEGIN
			EXECUTE a.command;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
		END;
		RETURN NEXT;
	END LOOP;
END $$;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM try();
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT state, message, count(*) FROM try() GROUP BY 1, 2;
COMMIT;
BEGIN READ ONLY;
SELECT * FROM try() WHERE n > 10;
COMMIT;
-- readers may have any
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM reco.user_views WHERE user_id = 3;
SELECT * FROM reco_for_user(3);
SELECT user_id, recommended_products FROM reco.user_recommendations;
SELECT product_id, view_count FROM reco_trending() WHERE length(product_id) < 10;
SELECT * FROM reco_verify();
COMMIT;
-- and a dump may be restored in any
SET default_transaction_isolation = 'repeatable read';
BEGIN;
DROP EXTENSION reco;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION reco;
COMMIT;
RESET default_transaction_isolation;
SELECT count(*) FROM reco.state;
DROP FUNCTION try;
DROP TABLE attempt;
