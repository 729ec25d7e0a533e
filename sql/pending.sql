-- a transaction's events take effect when it commits, all at once
SET client_min_messages = warning;
SET TimeZone = 'UTC';
DROP EXTENSION reco;
CREATE EXTENSION reco;
SELECT FROM reco_tick('2100-01-01 12:00Z');
INSERT INTO reco.product SELECT 'a' || i, 'A' FROM generate_series(1, 4) i;
CREATE FUNCTION view_product(bigint, text) RETURNS void LANGUAGE sql AS
  $$ INSERT INTO reco.activity VALUES ('page_view', $1, $2, NULL, '2100-01-01 12:00Z') $$;
CREATE FUNCTION has_lock() RETURNS boolean LANGUAGE sql AS $$
  SELECT EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'object' AND mode = 'ExclusiveLock'
                 AND classid = 'pg_extension'::regclass) $$;
CREATE VIEW viewed AS SELECT user_id, string_agg(product_id, ' ' ORDER BY product_id) AS products FROM reco.user_views GROUP BY 1;

-- until then they are in reco.activity only, and reco's lock is free
BEGIN;
SELECT view_product(1, 'a1');
SELECT count(*) FROM reco.activity;
SELECT * FROM viewed;
SELECT has_lock();
\set SHOW_CONTEXT never
SELECT * FROM reco_verify();
\set SHOW_CONTEXT errors
ROLLBACK;
BEGIN;
SELECT view_product(1, 'a1');
SELECT view_product(1, 'a2');
COMMIT;
SELECT * FROM viewed;
SELECT * FROM reco_verify();

-- savepoints: rolled back, released, nested
BEGIN;
SELECT view_product(2, 'a1');
SAVEPOINT one;
SELECT view_product(2, 'a2');
SAVEPOINT two;
SELECT view_product(2, 'a3');
RELEASE two;
ROLLBACK TO one;
SAVEPOINT three;
SELECT view_product(2, 'a4');
RELEASE three;
RELEASE one;
COMMIT;
SELECT * FROM viewed WHERE user_id = 2;
DO $$
BEGIN
  PERFORM view_product(3, 'a1');
  BEGIN
    PERFORM view_product(3, 'a2');
    RAISE EXCEPTION 'undone';
  EXCEPTION WHEN raise_exception THEN
    PERFORM view_product(3, 'a3');
  END;
END $$;
SELECT * FROM viewed WHERE user_id = 3;

-- applied earlier, and pending again where that is rolled back
BEGIN;
SELECT view_product(4, 'a1');
SAVEPOINT one;
SELECT view_product(4, 'a2');
SELECT FROM reco.apply_events();
SELECT * FROM viewed WHERE user_id = 4;
SELECT has_lock();
SELECT view_product(4, 'a3');
SELECT * FROM viewed WHERE user_id = 4;
ROLLBACK TO one;
SELECT * FROM viewed WHERE user_id = 4;
SELECT view_product(4, 'a4');
COMMIT;
SELECT * FROM viewed WHERE user_id = 4;
SELECT * FROM reco_verify();

-- DELETE, TRUNCATE and a rebuild know them
BEGIN;
SELECT view_product(5, 'a1');
SELECT view_product(5, 'a2');
DELETE FROM reco.activity WHERE user_id = 5 AND product_id = 'a1';
SELECT * FROM viewed WHERE user_id = 5;
COMMIT;
SELECT * FROM viewed WHERE user_id = 5;
BEGIN;
SELECT view_product(6, 'a1');
SELECT FROM reco_rebuild();
SELECT view_product(6, 'a2');
COMMIT;
SELECT * FROM viewed WHERE user_id = 6;
BEGIN;
SELECT view_product(7, 'a1');
SAVEPOINT one;
TRUNCATE reco.activity;
SELECT count(*) FROM viewed;
ROLLBACK TO one;
COMMIT;
SELECT * FROM viewed WHERE user_id = 7;
SELECT * FROM reco_verify();
BEGIN;
SELECT view_product(8, 'a1');
TRUNCATE reco.activity;
SELECT view_product(8, 'a2');
COMMIT;
SELECT * FROM viewed;
SELECT * FROM reco_verify();

-- a trigger of the owner's, a cursor that is run at commit, a procedure that commits
CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.user_id < 100 THEN
    PERFORM view_product(NEW.user_id + 100, NEW.product_id);
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER also AFTER INSERT ON reco.activity FOR EACH ROW EXECUTE FUNCTION also();
SELECT view_product(9, 'a1');
SELECT * FROM viewed WHERE user_id IN (9, 109);
DROP TRIGGER also ON reco.activity;
DROP FUNCTION also;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT view_product(10, 'a' || i) FROM generate_series(1, 2) i;
COMMIT;
CLOSE held;
SELECT * FROM viewed WHERE user_id = 10;
DO $$
BEGIN
  PERFORM view_product(11, 'a1');
  COMMIT;
  PERFORM view_product(11, 'a2');
  ROLLBACK;
  PERFORM view_product(11, 'a3');
END $$;
SELECT * FROM viewed WHERE user_id = 11;
SELECT * FROM reco_verify();

-- a DBA's triggers on the derived tables cannot be fired at commit, so views take effect at once:
-- an event of the trigger's counts nothing twice, a DELETE would, and deferred triggers fire
CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
  BEGIN
    INSERT INTO reco.activity VALUES ('search', NEW.user_id, NULL, 'shoes', '2100-01-01 12:00Z');
    IF NEW.user_id < 100 THEN
      PERFORM view_product(NEW.user_id + 100, 'a2');
    END IF;
    IF NEW.user_id % 2 = 0 THEN
      RAISE EXCEPTION 'undone';
    END IF;
  EXCEPTION WHEN raise_exception THEN
  END;
  RETURN NEW;
END $$;
CREATE TRIGGER also AFTER INSERT ON reco.user_state FOR EACH ROW EXECUTE FUNCTION also();
INSERT INTO reco.activity SELECT 'page_view', i, 'a1', NULL, '2100-01-01 12:00Z' FROM generate_series(52, 55) i;
SELECT * FROM viewed WHERE user_id > 50 AND user_id <> 109 ORDER BY 1;
SELECT * FROM reco_verify();
CREATE OR REPLACE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM reco.activity WHERE user_id = NEW.user_id;
  RETURN NEW;
END $$;
SELECT view_product(56, 'a1');
DROP TRIGGER also ON reco.user_state;
BEGIN;
SELECT view_product(57, 'a1');
CREATE CONSTRAINT TRIGGER also AFTER INSERT ON reco.user_state DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION also();
COMMIT;
CREATE CONSTRAINT TRIGGER also AFTER INSERT ON reco.user_state DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION also();
BEGIN;
SELECT view_product(56, 'a1');
SELECT has_lock();
COMMIT;
SELECT * FROM viewed WHERE user_id = 56;
DROP TRIGGER also ON reco.user_state;
DROP FUNCTION also;
SELECT * FROM reco_verify();
DELETE FROM reco.activity WHERE user_id > 50 AND user_id <> 109;

-- many of them go to a file, of which a savepoint's are cut off
BEGIN;
INSERT INTO reco.activity SELECT 'page_view', 1000 + i % 500, 'a' || i % 4 + 1, NULL, '2100-01-01 12:00Z' FROM generate_series(1, 50000) i;
SAVEPOINT one;
INSERT INTO reco.activity SELECT 'page_view', 2000 + i % 500, 'a' || i % 4 + 1, NULL, '2100-01-01 12:00Z' FROM generate_series(1, 50000) i;
ROLLBACK TO one;
INSERT INTO reco.activity SELECT 'page_view', 3000 + i % 500, 'a' || i % 4 + 1, NULL, '2100-01-01 12:00Z' FROM generate_series(1, 50000) i;
COMMIT;
SELECT user_id / 1000 AS thousand, count(*) FROM reco.user_state WHERE user_id >= 1000 GROUP BY 1 ORDER BY 1;
SELECT sum(view_count) FROM reco.window_count;
SELECT * FROM reco_verify();

-- what no list needs takes no lock
BEGIN;
INSERT INTO reco.activity VALUES ('search', 1, NULL, 'shoes', '2100-01-01 12:00Z'), ('purchase', 1, 'a1', NULL, '2100-01-01 12:00Z');
SELECT has_lock();
SELECT count(*) FROM reco_verify();
PREPARE TRANSACTION 'reco';
COMMIT PREPARED 'reco';
SELECT event_type FROM reco.activity WHERE event_type <> 'page_view' ORDER BY 1;

-- an error at commit says where it comes from, and nothing of the transaction stays
CREATE TABLE orders (id int);
BEGIN;
INSERT INTO orders VALUES (1);
SELECT view_product(12, 'a1');
ALTER TABLE reco.user_state ADD COLUMN more int;
COMMIT;
SELECT count(*) FROM orders;
SELECT count(*) FROM reco.activity WHERE user_id = 12;
BEGIN;
SELECT view_product(12, 'a1');
PREPARE TRANSACTION 'reco';
BEGIN;
SELECT FROM reco_sweep();
PREPARE TRANSACTION 'reco';

-- the extension may go meanwhile, and another one come: what was dropped is not counted there
BEGIN;
SELECT view_product(13, 'a1');
SET client_min_messages = error;
DROP VIEW viewed;
DROP EXTENSION reco;
RESET client_min_messages;
CREATE EXTENSION reco;
SELECT FROM reco_tick('2100-01-01 12:00Z');
SELECT view_product(14, 'a1');
COMMIT;
SELECT user_id, product_id FROM reco.user_views;
SELECT * FROM reco_verify();
BEGIN;
SELECT view_product(13, 'a1');
DROP EXTENSION reco;
COMMIT;
CREATE EXTENSION reco;
DROP FUNCTION view_product;
DROP FUNCTION has_lock;
DROP TABLE orders;
