-- tables that somebody has altered give an error, whoever uses them next
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT reco_tick('2100-01-01 12:00Z');
INSERT INTO reco.product VALUES ('p1', 'c'), ('p2', 'c');
INSERT INTO reco.activity VALUES ('page_view', 1, 'p1', NULL, '2100-01-01 12:00Z');
SELECT * FROM reco_for_user(1);

CREATE ACCESS METHOD regress_reco_am TYPE TABLE HANDLER heap_tableam_handler;

-- Alters a table, uses reco, and takes it back.
CREATE FUNCTION try(alteration text, OUT used_by text, OUT came_out text) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
  use text;
  sqlstate_ text;
  detail text;
BEGIN
  FOREACH use IN ARRAY ARRAY[
    $use$INSERT INTO reco.activity SELECT 'page_view', u, 'p' || u % 3, NULL, '2100-01-01 12:00Z' FROM generate_series(1, 3) u$use$,
    $use$INSERT INTO reco.product VALUES ('p3', 'c')$use$,
    $use$SELECT reco_tick('2100-01-03 12:00Z')$use$,
    $use$SELECT reco_take_popularity()$use$,
    $use$SELECT reco_rebuild()$use$,
    $use$SELECT * FROM reco_for_user(1)$use$]
  LOOP
    BEGIN
      EXECUTE alteration;
      EXECUTE use;
      PERFORM reco.apply_events();
      RAISE EXCEPTION 'it went through' USING ERRCODE = 'RE000';
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS sqlstate_ = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL;
      used_by := substring(use FROM '^\w+ (?:INTO |\* FROM )?[\w.]+');
      came_out := concat_ws(': ', sqlstate_, sqlerrm, nullif(detail, ''));
    END;
    RETURN NEXT;
  END LOOP;
END $$;
CREATE FUNCTION try_all(VARIADIC alterations text[]) RETURNS TABLE (alteration text, came_out text, uses bigint)
LANGUAGE sql AS $$
  SELECT alteration, t.came_out, count(*)
  FROM unnest(alterations) WITH ORDINALITY AS a(alteration, n), LATERAL try(alteration) t
  GROUP BY n, 1, 2 ORDER BY n, 2
$$;
\pset format unaligned

SELECT * FROM try_all('SELECT 1');
-- columns
SELECT * FROM try_all(
  'ALTER TABLE reco.user_state ALTER sent_at TYPE text',
  'ALTER EXTENSION reco DROP VIEW reco.user_recommendations; DROP VIEW reco.user_recommendations; ALTER TABLE reco.user_state ALTER list TYPE bigint[]',
  'ALTER TABLE reco.user_state ADD COLUMN more int',
  'ALTER TABLE reco.user_state DROP COLUMN sent_at',
  'ALTER TABLE reco.user_state RENAME COLUMN sent_at TO sent',
  'ALTER TABLE reco.user_state ALTER recent DROP NOT NULL',
  'ALTER TABLE reco.offsets ALTER next_offset TYPE numeric',
  'ALTER TABLE reco.kafka_topic ALTER replaying TYPE text',
  'ALTER TABLE reco.free_number DROP CONSTRAINT free_number_number_check, ALTER number TYPE text',
  'ALTER TABLE reco.state ALTER next_number TYPE text');
-- of reco.activity and the mirror
SELECT * FROM try_all(
  'ALTER TABLE reco.activity ALTER user_id TYPE numeric',
  'ALTER TABLE reco.activity ALTER product_id TYPE varchar(10)',
  'ALTER TABLE reco.activity ALTER product_id TYPE text COLLATE "POSIX"',
  'ALTER TABLE reco.activity ADD COLUMN more int',
  'ALTER TABLE reco.product ALTER category TYPE text COLLATE "POSIX"');
-- tables
SELECT * FROM try_all(
  'ALTER TABLE reco.user_state SET LOGGED',
  'CREATE TABLE public.child () INHERITS (reco.product_number)',
  'ALTER TABLE reco.offsets ENABLE ROW LEVEL SECURITY',
  'CREATE RULE nothing AS ON UPDATE TO reco.state DO INSTEAD NOTHING');
SELECT * FROM try_all('ALTER TABLE reco.window_top SET ACCESS METHOD regress_reco_am');
-- indexes
SELECT * FROM try_all(
  'ALTER TABLE reco.user_state DROP CONSTRAINT user_state_pkey',
  'ALTER TABLE reco.user_state DROP CONSTRAINT user_state_pkey; CREATE INDEX user_state_pkey ON reco.user_state (user_id)',
  'ALTER TABLE reco.user_state DROP CONSTRAINT user_state_pkey; CREATE UNIQUE INDEX user_state_pkey ON reco.user_state (user_id) WHERE user_id > 0',
  'ALTER TABLE reco.window_counter DROP CONSTRAINT window_counter_pkey; ALTER TABLE reco.window_counter ADD CONSTRAINT window_counter_pkey PRIMARY KEY (bucket, window_start)',
  'ALTER TABLE reco.window_top DROP CONSTRAINT window_top_pkey; CREATE INDEX window_top_pkey ON reco.product (product_id)',
  'ALTER TABLE reco.product_number DROP CONSTRAINT product_number_number_key; CREATE TABLE reco.product_number_number_key ()',
  'ALTER TABLE reco.user_state DROP CONSTRAINT user_state_pkey; CREATE UNIQUE INDEX user_state_pkey ON reco.user_state (user_id) INCLUDE (list)',
  'ALTER TABLE reco.product_number DROP CONSTRAINT product_number_number_key; CREATE UNIQUE INDEX product_number_number_key ON reco.product_number (number) INCLUDE (product_id)',
  'ALTER TABLE reco.product DROP CONSTRAINT product_pkey; CREATE UNIQUE INDEX product_pkey ON reco.product (product_id COLLATE "POSIX")',
  'ALTER TABLE reco.product DROP CONSTRAINT product_pkey; CREATE UNIQUE INDEX product_pkey ON reco.product (product_id text_pattern_ops)',
  $$UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'reco.window_top_pkey'::regclass$$);

-- triggers: reco's own that do not fire always, and one that suppresses rows
SELECT * FROM try_all(
  'ALTER TABLE reco.activity DISABLE TRIGGER ALL',
  'ALTER TABLE reco.activity ENABLE TRIGGER activity_insert',
  'ALTER TABLE reco.product DISABLE TRIGGER product_truncate');
CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
SELECT * FROM try_all(
  'CREATE TRIGGER suppress BEFORE INSERT ON reco.user_state FOR EACH ROW EXECUTE FUNCTION suppress()',
  'CREATE TRIGGER suppress BEFORE UPDATE ON reco.user_state FOR EACH ROW EXECUTE FUNCTION suppress()',
  'CREATE TRIGGER suppress BEFORE INSERT ON reco.window_counter FOR EACH ROW EXECUTE FUNCTION suppress()',
  'CREATE TRIGGER suppress BEFORE UPDATE ON reco.window_counter FOR EACH ROW EXECUTE FUNCTION suppress()',
  'TRUNCATE reco.state; CREATE TRIGGER suppress BEFORE INSERT ON reco.state FOR EACH ROW EXECUTE FUNCTION suppress()');
DROP FUNCTION suppress;

-- what was taken back is as it was
SELECT * FROM reco_for_user(1);
SELECT * FROM reco_verify();

DROP FUNCTION try_all, try(text);
DROP ACCESS METHOD regress_reco_am;
