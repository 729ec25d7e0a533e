#!/usr/bin/python3 -B
"""10,000 events a second through Kafka while everything expires many times: the oracle stays empty, nothing grows, and when
the shoppers have gone nothing is left. 300 s with H = 60 s, W = 10 s and a retention of 120 s; RECO_TEST_SECONDS and
RECO_TEST_RATE change length and load, and the windows keep their share of the length."""
import os
import random
import sys
import threading
import time

import confluent_kafka
import redis

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from engine import Services, Tap, execute, make_oracle, oracle_differences, query, wait_for  # noqa: E402

SECONDS = int(os.environ.get('RECO_TEST_SECONDS') or 300)
RATE = int(os.environ.get('RECO_TEST_RATE') or 10000)
SCALE = max(SECONDS / 300, 0.1)
W, H, RETENTION = (round(seconds * SCALE) for seconds in (10, 60, 120))
FUTURE = 2
USERS, PRODUCTS, CATEGORIES = 10000, 1000, 200
TOPIC, PARTITIONS = 'user_activity', 4


class Producer(threading.Thread):
    """Keeps the rate, whatever happens in between."""

    def __init__(self, seed):
        super().__init__(daemon=True)
        self.random = random.Random(seed)
        self.sent = 0
        self.failed = []

    def run(self):
        pick = self.random
        kafka = confluent_kafka.Producer({'bootstrap.servers': os.environ['KAFKA'], 'linger.ms': 5})
        begun = time.time()
        while time.time() < begun + SECONDS:
            for _ in range(min(int((time.time() - begun) * RATE) - self.sent, 5000)):
                # most happens now, some comes with delay or from a clock that is ahead
                at = time.time() + (FUTURE * pick.random() if pick.random() < .02 else -H * pick.random() ** 8)
                kind = 'page_view' if pick.random() < .9 else 'click'
                kafka.produce(TOPIC, partition=self.sent % PARTITIONS, on_delivery=self.delivered, value=(
                    f'{{"event_type":"{kind}","user_id":{int(USERS * pick.random() ** 2)},'
                    f'"product_id":"product_{int(PRODUCTS * pick.random() ** 3)}","timestamp":{int(at * 1000)}}}'))
                self.sent += 1
            kafka.poll(0.01)
        kafka.flush(60)

    def delivered(self, error, _):
        if error:
            self.failed.append(str(error))


def sizes(connection):
    return dict(query(connection, """
        SELECT CASE WHEN relispartition THEN 'activity' ELSE relname END, sum(pg_total_relation_size(oid))::bigint
        FROM pg_class WHERE relnamespace = 'reco'::regnamespace AND relkind IN ('r', 'p') GROUP BY 1"""))


def index_differences(connection, pick):
    """A second whose events are not those that the partitions' indexes find."""
    at = query(connection, 'SELECT horizon + %s * (clock - horizon) FROM reco.state', (pick.random(),))[0][0]
    found = []
    execute(connection, 'BEGIN ISOLATION LEVEL REPEATABLE READ')
    for way in ('seqscan', 'bitmapscan'):
        execute(connection, f'SET LOCAL enable_seqscan = on; SET LOCAL enable_{way} = off')
        found.append(query(connection, """SELECT count(*) FROM reco.activity
            WHERE "timestamp" >= %s AND "timestamp" < %s + interval '1 second'""", (at, at))[0][0])
    execute(connection, 'COMMIT')
    return [] if found[0] == found[1] else [f'{at}: the index finds {found[0]} events of {found[1]}']


def summarized(connection):
    """Partitions with so many pages that an index knows some, and those whose index knows the first ones."""
    return query(connection, """SELECT count(*), count(*) FILTER (WHERE brin_summarize_range(i.indexrelid, 0) = 0)
        FROM pg_inherits h JOIN pg_index i ON i.indrelid = h.inhrelid
        WHERE h.inhparent = 'reco.activity'::regclass AND pg_relation_size(h.inhrelid) > 100 * 8192
          AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.relation = h.inhrelid AND l.mode = 'ShareUpdateExclusiveLock')""")[0]


def change_catalog(connection, pick):
    execute(connection, 'UPDATE public.products SET category = %s WHERE product_id = ANY (%s)', (
        f'category_{pick.randrange(CATEGORIES)}', [f'product_{pick.randrange(PRODUCTS)}' for _ in range(3)]))


def main():
    tap = Tap()
    seed = int(os.environ.get('RECO_TEST_SEED') or random.randrange(10**6))
    tap.note(f'RECO_TEST_SEED={seed} RECO_TEST_SECONDS={SECONDS} RECO_TEST_RATE={RATE}: H {H} s, W {W} s, retention {RETENTION} s')
    pick = random.Random(seed)
    services = Services('redis', 'kafka')
    services.run('kafka', 'topic', TOPIC, str(PARTITIONS))
    services.up('postgres', reco__catalog_table='public.products', reco__trending_window=W, reco__recent_window=H,
                reco__retention=RETENTION, reco__max_future=FUTURE, reco__popularity_interval=f'{W}s',
                autovacuum_naptime='5s')
    connection = services.connect()
    execute(connection, 'CREATE TABLE public.products (product_id text PRIMARY KEY, category text)')
    execute(connection, "INSERT INTO public.products SELECT 'product_' || n, 'category_' || n %% %s FROM generate_series(0, %s) n",
            (CATEGORIES, PRODUCTS - 1))
    execute(connection, 'CREATE EXTENSION reco')
    make_oracle(connection)
    redis_client = redis.Redis(port=int(os.environ['REDIS_PORT']))

    def behind():
        return producer.sent - query(connection, 'SELECT coalesce(sum(next_offset), 0) FROM reco.offsets')[0][0]

    producer = Producer(seed)
    producer.start()
    begun = time.monotonic()
    flat, largest, checks, wrong, slow, missed = {}, {}, 0, [], [], []
    snapshots = [1, 1]  # the longest that the oracle's kept old rows, in the two parts of the run
    while producer.is_alive():
        time.sleep(min(1, SECONDS / 100))
        change_catalog(connection, pick)
        passed = time.monotonic() - begun
        if passed > checks * SECONDS / 12:
            checks += 1
            lag, late = query(connection, 'SELECT extract(epoch FROM clock_timestamp() - clock)::float FROM reco.state')[0][0], behind()
            if lag > 30 or late > 30 * RATE:  # the oracle itself slows all down: its snapshot keeps old rows
                slow.append(f'after {passed:.0f} s the clock is {lag:.1f} s late, ingestion {late} messages behind')
            looked_at = time.monotonic()
            found, left_out = oracle_differences(connection)
            part = passed >= RETENTION + 0.25 * SECONDS
            snapshots[part] = max(snapshots[part], time.monotonic() - looked_at)
            wrong += [f'after {passed:.0f} s: {line}' for line in found]
            tap.note(f'{passed:.0f} s: {len(found)} differences, {left_out} lists left out, clock {lag:.1f} s late, {late} messages behind')
        missed += index_differences(connection, pick)
        now = sizes(connection)
        target = flat if passed < RETENTION + 0.25 * SECONDS else largest
        for name, size in now.items():
            target[name] = max(size, target.get(name, 0))

    large, known = summarized(connection)
    tap.ok(not missed, 'the indexes of activity find what is there', missed)
    tap.ok(known > 1 and known >= large - 2, f'of {large} large partitions {known} are summarized')
    tap.ok(not producer.failed and producer.sent >= 0.95 * SECONDS * RATE, f'{producer.sent} events went in', producer.failed)
    wait_for(lambda: behind() <= 0, 30, 'ingestion')
    tap.ok(not slow, 'clock and ingestion kept up', slow)
    found, _ = oracle_differences(connection)
    tap.ok(not wrong and not found, f'the oracle stayed empty, looked at {checks + 1} times', wrong + found)
    grown = [f'{name}: {flat[name]} bytes, then {size}' for name, size in largest.items()
             if size > 1.5 * max(1, snapshots[1] / snapshots[0]) * flat.get(name, 0) + 1000000]
    tap.ok(bool(largest) and not grown, 'no table grew on', grown)
    tap.note(largest)
    left = query(connection, 'SELECT count(*) FROM reco.rejected')[0][0]
    tap.ok(left == 0, 'nothing was refused', [f'{left} messages'])

    # Nobody comes any more, but for one with an old snapshot
    ended = time.monotonic()
    reader = services.connect()
    reader.set_session(isolation_level='REPEATABLE READ', autocommit=False)
    pid = query(reader, 'SELECT pg_backend_pid() FROM reco.state')[0][0]
    try:
        wait_for(lambda: query(connection, 'SELECT count(*) FROM reco.user_state')[0][0] == 0, H + FUTURE + 10, 'the users to vanish')
        tap.ok(True, f'every user has vanished, {time.monotonic() - ended:.0f} s later')
        wait_for(lambda: query(connection, "SELECT count(*) FROM reco_status() WHERE component = 'snapshot' AND %s = ANY (blocked_by)",
                               (pid,))[0][0] == 1, 70, 'the old snapshot to be named')
        tap.ok(True, 'reco_status() names the old snapshot')
        reader.rollback()
        tap.ok(query(connection, "SELECT state FROM reco_status() WHERE component = 'snapshot'")[0][0] == 'none older than a minute',
               'and no longer when it is gone')
        wait_for(lambda: query(connection, 'SELECT count(*) FROM reco.window_count')[0][0] == 0,
                 RETENTION + W + 10, 'the windows to drop')
        tap.ok(True, f'every window is dropped, {time.monotonic() - ended:.0f} s later')
        wait_for(lambda: redis_client.keys('*') == [b'reco:stamp'], 20, 'Redis to be empty')
        tap.ok(True, 'Redis holds nothing but the stamp')
    except TimeoutError as error:
        tap.ok(False, str(error), oracle_differences(connection)[0] + redis_client.keys('*')[:20])
    tap.done()


if __name__ == '__main__':
    main()
