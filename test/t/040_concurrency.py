#!/usr/bin/python3 -B
"""Kafka, five clients that INSERT, COPY and DELETE, a writer of the catalog and reco_verify() at once, popularity taken every
second: nobody fails, reco_verify() never finds a thing, reco_status() names who blocks, and every event is there in the end,
in tables and indexes that amcheck finds whole.
RECO_TEST_SECONDS sets the length."""
import io
import json
import os
import random
import sys
import threading
import time
import traceback

import confluent_kafka
import psycopg2
import psycopg2.errors
from psycopg2.extras import execute_values

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from engine import Services, Tap, execute, make_oracle, oracle_differences, query, take_settings, wait_for  # noqa: E402

SECONDS = int(os.environ.get('RECO_TEST_SECONDS') or 30)
USERS, PRODUCTS, CATEGORIES = 300, 200, 12
TOPIC, PARTITIONS = 'user_activity', 3
INSERT = 'INSERT INTO reco.activity (event_type, user_id, product_id, "timestamp") VALUES %s'


class Client(threading.Thread):
    """One connection that repeats its step until time is up; an error ends it and fails the test."""

    def __init__(self, services, number, seed):
        super().__init__(daemon=True)
        self.connection = services.connect(application_name=type(self).__name__)
        self.random = random.Random(f'{seed} {number}')
        self.committed = self.steps = 0
        self.error = None

    def run(self):
        try:
            end = time.monotonic() + SECONDS
            with self.connection.cursor() as self.cursor:
                while time.monotonic() < end:
                    self.step()
                    self.steps += 1
            self.finish()
        except Exception:
            self.error = traceback.format_exc()

    def finish(self):
        pass

    def rows(self, count):
        """Views of the last two hours, by the database's clock."""
        return [(self.random.choice(['page_view', 'page_view', 'page_view', 'click']), int(USERS * self.random.random() ** 2),
                 f'product_{int(PRODUCTS * self.random.random() ** 2)}', time.strftime(
                     '%Y-%m-%d %H:%M:%S+00', time.gmtime(time.time() - 7200 * self.random.random() ** 3)))
                for _ in range(count)]

    def insert(self, count):
        execute_values(self.cursor, INSERT, self.rows(count), page_size=count)
        return count


class Savepoints(Client):
    """Savepoints, rolled back and released, in transactions that are given up now and then."""

    def step(self):
        kept = 0
        self.cursor.execute('BEGIN')
        for _ in range(self.random.randrange(1, 4)):
            self.cursor.execute('SAVEPOINT s')
            count = self.insert(self.random.randrange(1, 30))
            if self.random.random() < .5:
                self.cursor.execute('ROLLBACK TO s')
            else:
                kept += count
                self.cursor.execute('RELEASE s')
        if self.random.random() < .2:
            self.cursor.execute('ROLLBACK')
        else:
            self.cursor.execute('COMMIT')
            self.committed += kept


class Copies(Client):
    def step(self):
        rows = self.rows(self.random.choice([1, 100, 3000]))
        self.cursor.copy_expert('COPY reco.activity (event_type, user_id, product_id, "timestamp") FROM STDIN',
                                io.StringIO(''.join('\t'.join(map(str, row)) + '\n' for row in rows)))
        self.committed += len(rows)


class RepeatableRead(Client):
    """Its snapshot is older than what others write meanwhile: it shows one right state, and may not be written by."""

    def step(self):
        self.cursor.execute('BEGIN ISOLATION LEVEL REPEATABLE READ')
        self.cursor.execute('SELECT count(*) FROM public.products')
        time.sleep(0.05)
        self.cursor.execute('SELECT * FROM reco.verify_state(1)')
        found = self.cursor.fetchall()
        self.cursor.execute('SELECT user_id, recommended_products FROM reco.user_recommendations')
        try:
            self.insert(1)
            found.append('a REPEATABLE READ writer is not refused')
        except psycopg2.errors.FeatureNotSupported:
            self.cursor.execute('ROLLBACK')
        if found:
            raise AssertionError('\n'.join(map(str, found[:20])))


class Deletes(Client):
    def step(self):
        self.cursor.execute('BEGIN')
        self.committed += self.insert(self.random.randrange(1, 30))
        if self.random.random() < .3:
            self.cursor.execute('DELETE FROM reco.activity WHERE user_id = %s', (self.random.randrange(USERS),))
            self.committed -= self.cursor.rowcount
        self.cursor.execute('COMMIT')
        time.sleep(0.05)


class Idler(Client):
    """Sits on the lock, idle in transaction; reco_status() must say so."""

    def __init__(self, *args):
        super().__init__(*args)
        self.pid = self.connection.get_backend_pid()
        self.holding = threading.Event()

    def step(self):
        self.cursor.execute('BEGIN')
        self.committed += self.insert(5)
        self.cursor.execute('SELECT reco.apply_events()')
        self.holding.set()
        time.sleep(3)
        self.holding.clear()
        self.cursor.execute('COMMIT')
        time.sleep(4)


class Catalog(Client):
    def step(self):
        pick = self.random
        self.cursor.execute('BEGIN')
        for _ in range(pick.choice([1, 1, 3, 20])):
            product, category = f'product_{pick.randrange(PRODUCTS)}', pick.choice([None, '', f'category_{pick.randrange(CATEGORIES)}'])
            if pick.random() < .3:
                self.cursor.execute('DELETE FROM public.products WHERE product_id = %s', (product,))
            else:
                self.cursor.execute('INSERT INTO public.products VALUES (%s, %s) ON CONFLICT (product_id) '
                                    'DO UPDATE SET category = excluded.category', (product, category))
        self.cursor.execute(pick.choice(['COMMIT', 'COMMIT', 'ROLLBACK']))
        time.sleep(0.03)


class Blinker(Client):
    """Products that come and go: the catalog is the same at many looks, and was another between them."""

    def step(self):
        for statement in ("INSERT INTO public.products SELECT 'blinking_' || n FROM generate_series(1, 20) n",
                          "DELETE FROM public.products WHERE product_id LIKE 'blinking%'"):
            self.cursor.execute(statement)
            time.sleep(0.02 * self.random.random())


class Kafka(Client):
    def __init__(self, *args):
        super().__init__(*args)
        self.producer = confluent_kafka.Producer({'bootstrap.servers': os.environ['KAFKA']})

    def step(self):
        for kind, user, product, at in self.rows(100):
            self.producer.produce(TOPIC, json.dumps({'event_type': kind, 'user_id': user, 'product_id': product, 'timestamp': at}),
                                  partition=self.random.randrange(PARTITIONS))
            self.committed += 1
        self.producer.poll(0.05)

    def finish(self):
        self.producer.flush(30)


class Verifier(Client):
    def step(self):
        self.cursor.execute('SELECT * FROM reco_verify()')
        found = self.cursor.fetchall()
        if found:
            raise AssertionError('\n'.join(map(str, found[:20])))


def damage(connection):
    """What amcheck finds in reco's tables and their indexes, TOAST among them."""
    take_settings(connection, enabled='off')    # who drops a partition between two looks
    wait_for(lambda: query(connection, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'reco ingest'")[0][0] == 0, 30,
             'ingestion to leave')
    execute(connection, 'CREATE EXTENSION amcheck')
    relations = """FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE c.oid IN (SELECT oid FROM pg_class WHERE relnamespace = 'reco'::regnamespace
            UNION SELECT reltoastrelid FROM pg_class WHERE relnamespace = 'reco'::regnamespace)"""
    found = []
    for table, in query(connection, f"SELECT c.oid::regclass {relations} AND relkind IN ('r', 't')"):
        found += [f'{table}: {row}' for row in query(connection, 'SELECT * FROM verify_heapam(%s)', (table,))]
    for index, in query(connection, f"""SELECT indexrelid::regclass FROM pg_index JOIN pg_class i ON i.oid = indexrelid JOIN pg_am a ON a.oid = i.relam
            WHERE amname = 'btree' AND i.relkind = 'i' AND indrelid IN (SELECT c.oid {relations})"""):
        try:
            execute(connection, 'SELECT bt_index_check(%s, true)', (index,))
        except psycopg2.Error as error:
            found.append(f'{index}: {error}')
    return found


def main():
    tap = Tap()
    seed = int(os.environ.get('RECO_TEST_SEED') or random.randrange(10**6))
    tap.note(f'RECO_TEST_SEED={seed} RECO_TEST_SECONDS={SECONDS}')
    services = Services('redis', 'kafka')
    services.run('kafka', 'topic', TOPIC, str(PARTITIONS))
    services.up('postgres', reco__catalog_table='public.products', reco__popularity_interval='1s', reco__max_user_views=100)
    connection = services.connect()
    execute(connection, 'CREATE TABLE public.products (product_id text PRIMARY KEY, category text)')
    execute(connection, "INSERT INTO public.products SELECT 'product_' || n, 'category_' || n %% %s FROM generate_series(0, %s) n",
            (CATEGORIES, PRODUCTS - 1))
    execute(connection, 'CREATE EXTENSION reco')
    make_oracle(connection)
    wait_for(lambda: query(connection, 'SELECT count(*) FROM reco.offsets')[0][0] == PARTITIONS and
             query(connection, 'SELECT count(*) FROM reco.product')[0][0] == PRODUCTS, 60, 'the workers')

    kinds = [Savepoints, Copies, RepeatableRead, Deletes, Idler, Catalog, Blinker, Kafka, Verifier]
    clients = [kind(services, number, seed) for number, kind in enumerate(kinds)]
    idler = clients[kinds.index(Idler)]
    for client in clients:
        client.start()
    named = False
    while any(client.is_alive() for client in clients):
        if not named and idler.holding.wait(0.1):
            named = query(connection, 'SELECT count(*) > 0 FROM reco_status() WHERE %s = ANY (blocked_by)', (idler.pid,))[0][0]
        time.sleep(0.05)
    for client in clients:
        tap.ok(client.error is None and client.steps > 0, f'{type(client).__name__}: {client.steps} steps', [client.error])
    tap.ok(named, 'reco_status() names the session that sits on the lock')

    kafka = clients[kinds.index(Kafka)]
    try:
        wait_for(lambda: query(connection, 'SELECT sum(next_offset) FROM reco.offsets')[0][0] == kafka.committed, 30, 'ingestion')
        wait_for(lambda: query(connection, """
            SELECT NOT EXISTS ((SELECT product_id, nullif(category, '') FROM public.products EXCEPT SELECT product_id, category FROM reco.product)
                UNION ALL (SELECT product_id, category FROM reco.product EXCEPT SELECT product_id, nullif(category, '') FROM public.products))""")[0][0],
                 30, 'the mirror')
        wait_for(lambda: query(connection, 'SELECT count(*) FROM reco_oracle.left_out')[0][0] == 0, 30, 'the sweep')
        held = query(connection, 'SELECT count(*) FROM reco.activity')[0][0]
        wanted = sum(client.committed for client in clients)
        tap.ok(held == wanted, 'every committed event is there, and no other', [f'{held} events, {wanted} were committed'])
        found, _ = oracle_differences(connection)
        tap.ok(not found, 'the oracle is empty', found)
        wait_for(lambda: not query(connection, 'SELECT * FROM reco_redis_verify()'), 30, 'reco_redis_verify() to find nothing')
        tap.ok(True, 'Redis equals the tables')
        found = damage(connection)
        tap.ok(not found, 'amcheck finds nothing in tables and indexes', found)
    except TimeoutError as error:
        tap.ok(False, str(error))
    tap.done()


if __name__ == '__main__':
    main()
