"""One shop: its services in a private folder, its catalog, its activity, and reco working on them."""
import json
import os
import shutil
import subprocess
import tempfile
import time

import psycopg2
import redis

from machine import Processes, Sampler

HERE = os.path.dirname(os.path.abspath(__file__))
SERVICES = os.path.join(HERE, '..', 'test', 'services')
ENVIRONMENT = dict(os.environ, RECO_KAFKA_COMPILER='4')
DAY = 86400
PARTITIONS = 12


class Failure(Exception):
    """Something that a figure needs did not happen."""


def wait_for(condition, seconds, what, every=0.05):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure('waited %d s for %s' % (seconds, what))
        time.sleep(every)


class Shop:
    def __init__(self, options, tell, users=None, products=None, **settings):
        self.options, self.tell = options, tell
        self.users = users or options.users
        self.set_products(products or options.products)
        self.seed = 0
        self.running = []
        self.env = {}
        self.memory = None
        self.dir = tempfile.mkdtemp(prefix='reco-bench-')
        try:
            self.start(settings)
        except BaseException:
            self.close()
            raise

    def set_products(self, products):
        self.products, self.categories = products, max(10, products // 100)

    # Services

    def script(self, name, *args):
        done = subprocess.run([os.path.join(SERVICES, name), *args], env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise Failure('%s %s: %s' % (name, ' '.join(args), done.stdout))

    def start(self, settings):
        self.tell('starting services in %s' % self.dir)
        self.script('up', self.dir, 'redis', 'kafka')
        self.topic('user_activity')
        values = {'reco.catalog_table': 'public.products', 'shared_buffers': self.options.shared_buffers, 'fsync': 'on',
                  **{name.replace('__', '.'): value for name, value in settings.items()}}
        self.script('up', self.dir, 'postgres', *[arg for name, value in values.items() for arg in ('-c', '%s=%s' % (name, value))])
        self.env = self.read_env()
        subprocess.run(['make', '-s', '-C', HERE, 'DIR=' + self.dir], check=True)
        self.redis = redis.Redis(port=int(self.env['REDIS_PORT']))
        self.redis.config_set('save', '')       # no snapshot in the midst of a figure
        self.processes = Processes(self.dir)
        self.connection = self.connect()
        self.touch_memory()
        self.catalog()
        self.wait_for_workers()
        self.memory = Sampler(2, self.processes.memory)

    def read_env(self):
        words = subprocess.run(['bash', '-c', '. "$0/env" && env -0', self.dir], env=ENVIRONMENT, check=True,
                               stdout=subprocess.PIPE, text=True).stdout
        return dict(word.split('=', 1) for word in words.split('\0') if '=' in word)

    def topic(self, name):
        self.script('kafka', self.dir, 'topic', name, str(PARTITIONS))

    def spawn(self, *command, **options):
        """Starts a program that ends with the shop at the latest."""
        process = subprocess.Popen(command, env={**self.env, **options.pop('env', {})}, **options)
        self.running.append(process)
        return process

    def close(self):
        for process in self.running:
            if process.poll() is None:
                process.terminate()
        for process in self.running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        if self.memory is not None:
            self.memory.ended.set()
        self.tell('stopping services')
        self.script('down', self.dir, '--kill', '--remove')
        shutil.rmtree(self.dir, ignore_errors=True)

    # SQL

    def connect(self):
        connection = psycopg2.connect(host=self.env['PGHOST'], port=self.env['PGPORT'], user=self.env['PGUSER'],
                                      dbname=self.env['PGDATABASE'])
        connection.autocommit = True
        connection.cursor().execute("SET timezone = 'UTC'; SET jit = off")
        return connection

    def rows(self, sql, args=None, connection=None):
        with (connection or self.connection).cursor() as cursor:
            cursor.execute(sql, args)
            return cursor.fetchall() if cursor.description else None

    def value(self, sql, args=None, connection=None):
        return self.rows(sql, args, connection)[0][0]

    def set(self, name, value):
        self.rows('ALTER SYSTEM SET %s = %%s' % name, (value,))
        self.rows('SELECT pg_reload_conf()')

    def touch_memory(self):
        """Uses each buffer once, as a server has that runs for a while: its kernel and host give memory at the first use."""
        self.tell('using all of shared_buffers once')
        self.rows('CREATE UNLOGGED TABLE touched (page text)')
        self.rows('ALTER TABLE touched ALTER page SET STORAGE PLAIN')
        self.rows("INSERT INTO touched SELECT repeat('x', 8000) FROM pg_settings, generate_series(1, setting::int) WHERE name = 'shared_buffers'")
        self.rows('DROP TABLE touched')

    def catalog(self):
        self.rows('CREATE TABLE products (product_id text PRIMARY KEY, category text, price integer)')
        self.fill_catalog()
        self.rows('CREATE EXTENSION reco')

    def fill_catalog(self):
        self.tell('catalog of %d products in %d categories' % (self.products, self.categories))
        self.rows("INSERT INTO products SELECT 'product_' || i, 'category_' || i %% %s FROM generate_series(0, %s - 1) i",
                  (self.categories, self.products))
        self.rows('VACUUM ANALYZE products')

    # reco

    def counters(self, connection=None):
        return dict(self.rows('SELECT name, value FROM reco.counters()', connection=connection))

    def status(self, connection=None):
        names = ('component', 'state', 'pid', 'lag_messages', 'lag_seconds')
        found = self.rows('SELECT %s FROM reco.workers()' % ', '.join(names), connection=connection)
        return {row[0]: dict(zip(names, row)) for row in found}

    def wait_for_workers(self):
        def ready():
            status = self.status()
            return all((status[worker]['state'] or '').startswith(state)
                       for worker, state in (('ingest', 'reading'), ('follow', 'following')))
        wait_for(ready, 300, 'the workers to read and follow')

    def enable(self, on, wait=True):
        self.set('reco.enabled', 'on' if on else 'off')
        if not on:
            wait_for(lambda: not any(w['pid'] for w in self.status().values()), 300, 'the workers to leave')
        elif wait:
            self.wait_for_workers()

    def published(self):
        """Is everything that is in the tables in Redis, too?"""
        return self.status()['publish']['lag_messages'] == 0

    def swept(self):
        """Are all lists of the current generation?"""
        return self.value('SELECT NOT EXISTS (SELECT FROM reco.user_state u, reco.state s WHERE u.generation <> s.generation)')

    def settle(self):
        """Waits until all that was produced is in the tables and in Redis, and no sweep is under way, nor what follows a start."""
        wait_for(lambda: self.status()['ingest']['lag_messages'] == 0, 3600, 'ingestion', 0.2)
        wait_for(lambda: self.status()['publish']['state'] == 'publishing', 600, 'all lists to be sent', 0.2)
        wait_for(lambda: self.published() and self.swept(), 600, 'the sweep and the publisher', 0.5)

    # Activity

    def load(self, *args, topic='user_activity', seed=None, users=None, **options):
        self.seed += 1
        return self.spawn(os.path.join(self.dir, 'load'), '--brokers', self.env['KAFKA'], '--topic', topic,
                          '--partitions', str(PARTITIONS), '--users', str(users or self.users), '--products', str(self.products),
                          '--seed', str(seed or self.seed), *[str(arg) for arg in args],
                          stdout=subprocess.PIPE, text=True, **options)

    def finish(self, load):
        """Waits for a load that ends by itself and returns what it says."""
        words = load.communicate()[0]
        if load.returncode != 0:
            raise Failure('the load generator failed')
        return json.loads(words)

    def produce(self, events, seconds, **options):
        """Events spread over the last seconds."""
        now = int(time.time() * 1000)
        return self.finish(self.load('--events', events, '--from', now - int(seconds * 1000), '--to', now, **options))

    def prefill(self, events):
        """A history of 24 hours, through Kafka; returns how fast reco took it."""
        self.tell('history: %d events of 24 hours' % events)
        before = self.counters()['ingest.messages']
        begin = time.monotonic()
        self.produce(events, DAY - 60)
        self.tell('history is in Kafka after %.0f s' % (time.monotonic() - begin))

        def taken():
            done = self.counters()['ingest.messages'] - before
            if time.monotonic() - taken.told > 10:
                taken.told = time.monotonic()
                self.tell('history: %d of %d events are in the tables' % (done, events))
            return done >= events
        taken.told = begin
        wait_for(taken, 7200, 'the history', 0.2)
        rate = events / (time.monotonic() - begin)
        self.settle()
        self.rows('VACUUM ANALYZE')
        self.tell('history is in the tables and in Redis: %.0f events/s' % rate)
        return rate

    def steady(self, rate, seconds):
        """A load of now; it has begun to arrive when this returns."""
        before = self.counters()['ingest.messages']
        load = self.load('--rate', rate, '--seconds', seconds)
        self.processes.others['load'] = load.pid
        wait_for(lambda: self.counters()['ingest.messages'] > before, 60, 'the load to arrive', 0.01)
        return load

    def end(self, load):
        """Ends a steady load early, or waits for its end."""
        if load.poll() is None:
            load.terminate()
        self.processes.others.pop('load', None)
        return self.finish(load)
