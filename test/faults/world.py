"""The shop into which faults are injected: server, broker, Redis, a producer, a session that changes the catalog."""
import os
import shutil
import subprocess
import tempfile
import time

import psycopg2

import checks
from broker import Broker
from catalog import Catalog, fill
from engine import Services, execute, query, wait_for
from producer import Producer
from server import Server
from store import Store

TOPIC = 'user_activity'
SETTINGS = {'trending_window': 5, 'recent_window': 20, 'retention': 60, 'max_future': 2, 'popularity_interval': '2s'}


class World:
    def __init__(self, seed):
        self.services = Services('redis', 'kafka')
        self.folder = self.services.dir
        self.partitions = 2
        self.broker = Broker(self.services)
        self.broker.create_topic(TOPIC, self.partitions)
        self.store = Store(self.services)
        self.services.up('postgres', reco__catalog_table='public.products', max_connections=30,
                         log_line_prefix='%m [%p] %b %e ', max_slot_wal_keep_size='48MB', wal_keep_size=0,
                         **{f'reco__{name}': value for name, value in SETTINGS.items()})
        self.server = Server(self.folder, os.path.join(self.folder, 'data'), int(os.environ['PGPORT']))
        self.servers = [self.server]  # all that were ever started
        self._connection = None
        self.make_small_disk()
        connection = self.connection()
        execute(connection, 'CREATE TABLE public.products (product_id text PRIMARY KEY, category text)')
        fill(connection)
        execute(connection, 'CREATE EXTENSION reco')
        self.producer = Producer(self.broker.brokers, TOPIC, self.partitions, SETTINGS['recent_window'], seed)
        self.catalog = Catalog(self.connect, seed)
        self.producer.start()
        self.catalog.start()

    def make_small_disk(self):
        """The database gets a tablespace on a disk of its own, which can be full. It needs root; without it there is none."""
        self.disk = os.path.join(self.folder, 'disk')
        os.mkdir(self.disk)
        mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=192m,mode=777', 'none', self.disk],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if mounted.returncode != 0:
            self.disk = None
            return
        space = os.path.join(self.disk, 'space')
        os.mkdir(space)
        if os.getuid() == 0:
            shutil.chown(space, 'postgres')
        self.sql(f"CREATE TABLESPACE small LOCATION '{space}'", dbname='postgres')
        wait_for(self.move_database, 30, 'the database to move')

    def move_database(self):
        """Fails while reco's launcher or another session is in the database."""
        try:
            self.sql('ALTER DATABASE shop SET TABLESPACE small', dbname='postgres')
            return True
        except psycopg2.errors.ObjectInUse:
            return False

    # Sessions

    def connect(self, **options):
        """A session of its own, in autocommit mode; a server that is on its way is waited for."""
        def attempt():
            try:
                return psycopg2.connect(host=self.folder, port=self.server.port, user='postgres',
                                        **{'dbname': 'shop', 'connect_timeout': 10, **options})
            except psycopg2.OperationalError as error:
                if 'in recovery mode' in str(error) or 'starting up' in str(error):
                    return None
                raise
        connection = wait_for(attempt, 20, 'the server')
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET timezone = 'UTC'; SET jit = off")
        return connection

    def connection(self):
        """The harness's session, made anew where it was lost, which only its use shows."""
        try:
            if self._connection is not None:
                query(self._connection, 'SELECT')
        except psycopg2.Error:
            self.close()
        if self._connection is None:
            self._connection = self.connect()
        return self._connection

    def close(self):
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def sql(self, statement, args=None, **options):
        """Rows of a statement in a short session."""
        connection = self.connect(**options)
        try:
            return query(connection, statement, args)
        finally:
            connection.close()

    def set(self, **settings):
        """Settings in postgresql.auto.conf, None: as before; returns when the postmaster has read them."""
        connection = self.connect(dbname='postgres')
        try:
            before = query(connection, 'SELECT pg_conf_load_time()')
            for name, value in settings.items():
                name = name.replace('__', '.')
                execute(connection, f'ALTER SYSTEM RESET {name}' if value is None else f'ALTER SYSTEM SET {name} = %s',
                        None if value is None else (str(value),))
            execute(connection, 'SELECT pg_reload_conf()')
        finally:
            connection.close()
        wait_for(lambda: self.sql('SELECT pg_conf_load_time()', dbname='postgres') > before, 10, 'a reload')

    # Traffic

    def go_on(self):
        self.producer.go_on()
        self.catalog.go_on()

    def pause(self):
        self.catalog.pause()
        self.producer.pause()

    def read(self):
        """{partition: reco's next offset}."""
        return dict(query(self.connection(), 'SELECT partition, next_offset FROM reco.offsets WHERE topic = %s', (TOPIC,)))

    def crashed(self):
        """A fault that empties unlogged tables has happened, or will at once."""
        self.server.crashes = True
        self.producer.state_lost()

    # Checks

    def await_right(self, seconds, more=lambda: []):
        """Waits until all checks pass; returns what is wrong at the end of the time."""
        end = time.monotonic() + seconds
        while True:
            try:
                found = checks.problems(self) or more()
            except psycopg2.Error as error:
                found = [f'{type(error).__name__}: {str(error).strip()}']
                self.close()
            if not found or time.monotonic() > end:
                return found
            time.sleep(0.1)

    def keep_logs(self, lines):
        """Copies logs and findings to a folder that stays; returns its path."""
        kept = tempfile.mkdtemp(prefix='reco-faults-')
        for name in os.listdir(self.folder):
            if name.endswith('.log'):
                shutil.copy(os.path.join(self.folder, name), kept)
        with open(os.path.join(kept, 'found'), 'w') as file:
            file.writelines(f'{line}\n' for line in lines)
            try:
                file.writelines(f'{row}\n' for row in self.sql('SELECT * FROM reco_status()'))
            except psycopg2.Error as error:
                file.write(f'no reco_status(): {error}')
        return kept

    def remove(self):
        self.producer.ended = self.catalog.ended = True
        for thread in (self.producer, self.catalog):
            if thread.ident:
                thread.join(10)
        self.close()
        for server in self.servers:
            server.end()
        if self.disk:
            subprocess.run(['umount', '-l', self.disk])
        self.services.remove()
