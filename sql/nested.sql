-- Commands within commands: whatever would count a view twice is rejected, everything else works.
SET TimeZone = 'UTC';
SET client_min_messages = warning;
SET datestyle = 'ISO';
DROP EXTENSION reco;
CREATE EXTENSION reco;
\set VERBOSITY terse
SELECT reco_tick('2100-01-01 12:00+00');
INSERT INTO reco.activity SELECT 'page_view', 1, 'p' || i, NULL, '2100-01-01 11:59+00' FROM generate_series(1, 3) i;

-- rows that are deleted and inserted again by one statement
WITH gone AS (DELETE FROM reco.activity WHERE user_id = 1 RETURNING *)
INSERT INTO reco.activity SELECT * FROM gone;
SELECT * FROM reco_verify();

-- a trigger that deletes what is just being inserted
CREATE FUNCTION dedupe() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM reco.activity a WHERE a.user_id = NEW.user_id AND a.query = 'again';
	RETURN NULL;
END $$;
CREATE TRIGGER dedupe AFTER INSERT ON reco.activity FOR EACH ROW EXECUTE FUNCTION dedupe();
INSERT INTO reco.activity VALUES ('page_view', 6, 'p7', 'again', '2100-01-01 11:59+00');
DROP TRIGGER dedupe ON reco.activity;
SELECT * FROM reco_verify();

-- a rebuild while rows are on their way
CREATE FUNCTION rebuild() RETURNS text LANGUAGE sql AS 'SELECT reco_rebuild()::text';
INSERT INTO reco.activity SELECT 'page_view', 2, 'p' || i || rebuild(), NULL, '2100-01-01 11:59+00' FROM generate_series(1, 2) i;
SELECT * FROM reco_verify();

-- after an error in a savepoint a DELETE works again
BEGIN;
SAVEPOINT s;
INSERT INTO reco.activity SELECT 'page_view', 3, 'p' || 1 / (2 - i), NULL, '2100-01-01 11:59+00' FROM generate_series(1, 3) i;
ROLLBACK TO s;
DELETE FROM reco.activity WHERE user_id = 1;
COMMIT;
SELECT * FROM reco_verify();
SELECT * FROM reco.user_views;

-- an insert from within an insert
CREATE FUNCTION echo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.user_id < 12 THEN
		INSERT INTO reco.activity VALUES (NEW.event_type, NEW.user_id + 1, NEW.product_id, NULL, NEW."timestamp");
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER echo AFTER INSERT ON reco.activity FOR EACH ROW EXECUTE FUNCTION echo();
INSERT INTO reco.activity VALUES ('page_view', 10, 'p1', NULL, '2100-01-01 11:59+00');
DROP TRIGGER echo ON reco.activity;
SELECT * FROM reco_verify();
SELECT user_id, product_id FROM reco.user_views ORDER BY user_id;

-- a TRUNCATE that a savepoint has undone no longer lets a partition be truncated by name
BEGIN;
SAVEPOINT s;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
CREATE TRIGGER zz_refuse BEFORE TRUNCATE ON reco.activity FOR EACH STATEMENT EXECUTE FUNCTION refuse();
TRUNCATE reco.activity;
ROLLBACK TO s;
DO $$
BEGIN
	EXECUTE (SELECT format('TRUNCATE %s', min(inhrelid::regclass::text)) FROM pg_inherits WHERE inhparent = 'reco.activity'::regclass);
EXCEPTION WHEN feature_not_supported THEN
	RAISE WARNING '%', regexp_replace(sqlerrm, 'activity_\d+_\d+', 'activity_...');
END $$;
COMMIT;

-- a table that was altered is not written to
ALTER TABLE reco.window_counter ADD COLUMN note text;
INSERT INTO reco.activity VALUES ('page_view', 20, 'p1', NULL, '2100-01-01 11:59+00');
-- leave a sound extension behind
DROP EXTENSION reco;
CREATE EXTENSION reco;
DROP FUNCTION dedupe, echo, rebuild;
