#!/usr/bin/python3 -B
"""Random workloads through Kafka, changes in the catalog's own table, and faults in between: after each round the tables equal
the oracle and the reference in Python, and Redis equals the tables: values, order, keys, life, nothing left over.
RECO_TEST_SEED repeats a run (as far as time allows), RECO_TEST_ROUNDS sets its length, RECO_TEST_ONLY=name takes one shop."""
import json
import os
import random
import sys
import time

import confluent_kafka
import psycopg2
import redis

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from engine import (Services, Tap, change_catalog, execute, make_oracle, moment, oracle_differences, query,  # noqa: E402
                    redis_differences, reference_differences, take_settings, wait_for)
from reference import SECOND, Event, Parameters, Reference  # noqa: E402
from workload import Workload  # noqa: E402

TOPIC = 'user_activity'
PARTITIONS = 3

SHOPS = {
    'hours': dict(parameters=Parameters(), table='public.products', columns='', key='product_id', category='category',
                  create='CREATE TABLE public.products (product_id text PRIMARY KEY, category text)'),
    'seconds': dict(parameters=Parameters(trending_window=5, recent_window=40, retention=90, max_user_views=20),
                    table='"Shop"."Products"', columns='product_id="Sku", category="Path"', key='"Sku"', category='"Path"',
                    create='''CREATE SCHEMA "Shop";
                        CREATE TABLE "Shop"."Products" (id serial, "Sku" varchar NOT NULL, "Path" text, price int DEFAULT 1,
                            PRIMARY KEY ("Sku")) PARTITION BY HASH ("Sku");
                        CREATE TABLE "Shop".p0 PARTITION OF "Shop"."Products" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
                        CREATE TABLE "Shop".p1 PARTITION OF "Shop"."Products" FOR VALUES WITH (MODULUS 2, REMAINDER 1)'''),
}

FAULTS = ['none', 'none', 'time passes', 'restart', 'crash', 'flush', 'redis restarts', 'redis crashes', 'kafka restarts', 'follow ends',
          'ingest ends', 'publish ends', 'rebuild', 'settings']


def good(pick, event):
    """The event as a message: (value, message time or None)."""
    fields, sent = {'event_type': event.event_type, 'user_id': event.user_id}, None
    if pick.random() < .3:
        fields['user_id'] = str(event.user_id)
    if event.product_id is not None:
        fields['product_id'] = event.product_id
    if event.query is not None:
        fields['query'] = event.query
    at, form = moment(event.at), pick.random()
    if event.at % 1000 == 0 and form < .2:
        fields['timestamp'] = event.at // 1000
    elif event.at % 1000 == 0 and form < .4:
        sent = event.at // 1000
    elif form < .6:
        fields['timestamp'] = at.replace(tzinfo=None).isoformat()
    elif form < .7:
        fields['timestamp'] = moment(event.at + 7200 * SECOND).replace(tzinfo=None).isoformat() + '+02:00'
    else:
        fields['timestamp'] = at.replace(tzinfo=None).isoformat() + 'Z'
    if pick.random() < .2:
        fields.update(session={'id': [1, {'deep': None}]}, price=-1.5e3, seen=True)
    items = list(fields.items())
    pick.shuffle(items)
    text = json.dumps(dict(items), ensure_ascii=pick.random() < .5)
    if pick.random() < .1:  # of a repeated key the last counts
        text = '{"user_id": "none", "event_type": 5, ' + text[1:]
    return text.encode(), sent


def bad(pick, now):
    """A message that must be refused."""
    event = {'event_type': 'page_view', 'user_id': 1, 'product_id': 'bad', 'timestamp': moment(now).isoformat()}
    return pick.choice([
        b'', b'{', b'[]', b'null', b'17', b'"text"', b'{"event_type": "page_view"', b'\xff\xfe', b'{"user_id": 1}', b'nonsense',
        json.dumps(event).encode() + b'x', json.dumps({**event, 'product_id': 'a\0b'}).encode(),
        json.dumps(event).encode().replace(b'"bad"', b'"\xc3"'), *(json.dumps({**event, **change}).encode() for change in (
            {'user_id': 2**63}, {'user_id': 1.5}, {'user_id': 'x'}, {'user_id': None}, {'user_id': ''}, {'user_id': [1]},
            {'product_id': ''}, {'product_id': 'x' * 513}, {'product_id': None}, {'product_id': 7.5}, {'event_type': ''},
            {'event_type': 'x' * 65}, {'event_type': None}, {'event_type': 'search'}, {'timestamp': 'yesterday'},
            {'timestamp': '2024-13-01T00:00:00Z'}, {'timestamp': ''}, {'timestamp': True}, {'timestamp': 1e300},
            {'timestamp': moment(now + 2 * 3600 * SECOND).isoformat()}, {'padding': 'x' * 70000}))])


class Kafka:
    """A producer that knows what each partition holds."""

    def __init__(self, pick):
        self.pick = pick
        self.ends = dict.fromkeys(range(PARTITIONS), 0)
        self.refused = {}
        self.producer = confluent_kafka.Producer({'bootstrap.servers': os.environ['KAFKA'], 'message.timeout.ms': 60000,
                                                  'enable.idempotence': True, 'log_level': 0})

    def send(self, value, sent=None, refused=False):
        partition = self.pick.randrange(PARTITIONS)

        def delivered(error, message):
            if error:
                raise RuntimeError(f'Kafka: {error}')
            self.ends[partition] = message.offset() + 1
            if refused:
                self.refused[partition, message.offset()] = value[:1024]  # as much is kept
        self.producer.produce(TOPIC, value, partition=partition, on_delivery=delivered, **({'timestamp': sent} if sent else {}))
        self.producer.poll(0)

    def flush(self):
        self.producer.flush(60)


class Shop:
    def __init__(self, name, seed):
        self.shop = SHOPS[name]
        self.pick = random.Random(seed)
        p = self.shop['parameters']
        self.services = Services('redis', 'kafka')
        self.services.run('kafka', 'topic', TOPIC, str(PARTITIONS))
        self.services.up('postgres', reco__catalog_table=self.shop['table'], reco__catalog_columns=self.shop['columns'],
                         reco__popularity_interval='1s', **{f'reco__{k}': v for k, v in vars(p).items()})
        self.connect()
        execute(self.connection, self.shop['create'])
        execute(self.connection, 'CREATE EXTENSION reco')
        make_oracle(self.connection)
        self.reference = Reference(p, self.clock())
        self.workload = Workload(seed, self.reference)
        self.kafka = Kafka(self.pick)
        self.redis = redis.Redis(port=int(os.environ['REDIS_PORT']), decode_responses=True)

    def connect(self):
        def attempt():
            try:
                return self.services.connect()
            except psycopg2.Error:
                return None
        self.connection = wait_for(attempt, 60, 'the server')

    def clock(self):
        return wait_for(lambda: query(self.connection, 'SELECT extract(epoch FROM clock)::bigint FROM reco.state'), 60,
                        'a row in reco.state')[0][0]

    # What happens

    def produce(self):
        self.reference.clock = int(time.time()) - 1
        events = self.workload.events()
        for event in events:
            self.kafka.send(*good(self.pick, event))
            if self.pick.random() < .05:
                self.kafka.send(bad(self.pick, int(time.time()) * SECOND), refused=True)
            if self.pick.random() < .02:
                self.kafka.send(None)  # a tombstone
                self.kafka.send(*good(self.pick, Event('page_view', 1, 'late', None, events[0].at - 30 * 86400 * SECOND)))
        self.reference.insert(events)
        return f'{len(events)} events'

    def change_catalog(self):
        changes, end = self.workload.changes(), self.pick.choice(['COMMIT', 'COMMIT', 'COMMIT', 'ROLLBACK'])
        self.write_catalog(changes, end)
        return f'{end} {str(changes)[:200]}'

    def write_catalog(self, changes, end):
        with self.connection.cursor() as cursor:
            change_catalog(cursor, changes, end, self.shop['table'], self.shop['key'], self.shop['category'])
        if end == 'COMMIT':
            self.reference.change_catalog(changes)

    def truncate_catalog(self):
        execute(self.connection, f"TRUNCATE {self.shop['table']}")
        for product in list(self.reference.category):
            self.reference.drop_product(product)
        return 'TRUNCATE'

    def fault(self, name):
        if name == 'time passes':
            end = self.clock() + 5
            wait_for(lambda: self.clock() >= end, 30, 'five seconds')
        elif name in ('restart', 'crash'):
            self.connection.close()
            self.services.down('postgres', kill=name == 'crash')
            if self.pick.random() < .5:
                self.produce()
                self.kafka.flush()
            self.services.up('postgres')
            self.connect()
        elif name == 'flush':
            self.redis.flushall()
        elif name in ('redis restarts', 'redis crashes'):
            self.services.down('redis', kill=name == 'redis crashes')
            self.produce()
            self.services.up('redis')
        elif name == 'kafka restarts':
            self.services.down('kafka')
            self.services.up('kafka')
        elif name.endswith(' ends'):
            execute(self.connection, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type ~ %s",
                    ('reco ' + name[:-5],))
        elif name == 'rebuild':
            execute(self.connection, 'SELECT reco_rebuild()')
        elif name == 'settings':
            self.new_settings()

    def new_settings(self):
        values = {'max_recommendations': self.pick.choice([0, 1, 5, 20]), 'trending_size': self.pick.choice([1, 3, 10]),
                  'trending_max': self.pick.choice([2, 7, 1000]), 'top_categories': self.pick.choice([1, 2, 3]),
                  'max_user_views': self.pick.choice([2, 20, 500])}
        take_settings(self.connection, **values)
        parameters = Parameters(**{**vars(self.reference.parameters), **values})
        self.reference.parameters = parameters
        wait_for(lambda: query(self.connection, 'SELECT (max_recommendations, trending_size, trending_max, top_categories, '
                               'max_user_views) = (%s, %s, %s, %s, %s) FROM reco.state', tuple(values.values())) == [(True,)], 60, 'new parameters')

    # What must follow

    def ingested(self):
        held = dict(query(self.connection, 'SELECT partition, next_offset FROM reco.offsets'))
        return all(held.get(partition, 0) >= end for partition, end in self.kafka.ends.items())

    def mirrored(self):
        return dict(query(self.connection, 'SELECT product_id, category FROM reco.product')) == self.reference.category

    def popular(self):
        """Is popularity taken of all that there is, and every list brought along?"""
        at, clock, older = query(self.connection, """SELECT extract(epoch FROM popularity_at)::bigint, extract(epoch FROM clock)::bigint,
            (SELECT count(*) FROM reco_oracle.left_out) FROM reco.state""")[0]
        held = dict(query(self.connection, 'SELECT product_id, popularity FROM reco.product'))
        self.reference.tick(clock)
        for taken in (at, clock):
            self.reference.take_popularity(taken)
            if self.reference.popularity == held:
                return older == 0
        return False

    def differences(self):
        """All that is wrong, once everything has arrived."""
        self.kafka.flush()
        wait_for(self.ingested, 60, 'ingestion')
        wait_for(self.mirrored, 30, 'the mirror')
        end = time.monotonic() + 30
        while True:
            execute(self.connection, 'BEGIN ISOLATION LEVEL REPEATABLE READ')
            settled = self.popular()
            found, left_out = oracle_differences(self.connection)
            result = [f'oracle: {line}' for line in found]
            if settled and not result:
                result = reference_differences(self.connection, self.reference)
            execute(self.connection, 'COMMIT')
            if settled or result:
                break
            if time.monotonic() > end:
                result.append(f'popularity is not taken, or {left_out} lists stay of an older generation')
                break
            time.sleep(0.05)
        held = query(self.connection, 'SELECT partition, "offset", payload FROM reco.rejected')
        if {(partition, offset): bytes(payload) for partition, offset, payload in held} != self.kafka.refused:
            result.append(f'reco.rejected holds {len(held)} messages, {len(self.kafka.refused)} were bad')
        result += [f'reco_verify: {row}' for row in query(self.connection, 'SELECT * FROM reco_verify()')]
        return result + self.redis_differences()

    def redis_differences(self):
        """Redis beside the tables, as soon as the publisher has caught up."""
        end = time.monotonic() + 20
        while True:
            result = redis_differences(self.connection, self.redis)
            if not result:
                result = [f'reco_redis_verify: {row}' for row in query(self.connection, 'SELECT * FROM reco_redis_verify()')]
            if not result or time.monotonic() > end:
                return [f'redis: {line}' for line in result]
            time.sleep(0.1)


def run(tap, name, seed, rounds):
    shop = Shop(name, seed)
    tap.note(f'{name}: {shop.services.dir}')
    shop.write_catalog(shop.workload.catalog(), 'COMMIT')
    faults = []
    for number in range(rounds):
        faults = faults or shop.pick.sample(FAULTS, len(FAULTS))
        fault, log = faults.pop(), []
        begun = time.monotonic()
        try:
            for _ in range(shop.pick.randrange(1, 6)):
                log.append(shop.pick.choice([shop.produce, shop.produce, shop.change_catalog])())
            if shop.pick.random() < .05:
                log.append(shop.truncate_catalog())
            shop.fault(fault)
            found = shop.differences()
        except (TimeoutError, psycopg2.Error) as error:
            found = [f'{type(error).__name__}: {str(error)[:500]}']
        took = f'{time.monotonic() - begun:.1f} s'
        if not tap.ok(not found, f'{name}, seed {seed}, round {number + 1}, fault: {fault} ({took})', log + found):
            break
    shop.connection.close()
    shop.services.down()


def main():
    tap = Tap()
    seed = int(os.environ.get('RECO_TEST_SEED') or random.randrange(10**6))
    rounds = int(os.environ.get('RECO_TEST_ROUNDS') or 2 * len(FAULTS))
    tap.note(f'RECO_TEST_SEED={seed} RECO_TEST_ROUNDS={rounds}')
    for name in SHOPS:
        if os.environ.get('RECO_TEST_ONLY', name) == name:
            run(tap, name, seed, rounds)
    tap.done()


if __name__ == '__main__':
    main()
