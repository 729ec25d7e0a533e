"""Private services for a test written in Python, its TAP output, and the engine set beside oracle and reference."""
import atexit
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone

import psycopg2

from reference import SECOND

HERE = os.path.dirname(os.path.abspath(__file__))
ORACLE = os.path.join(HERE, 'oracle.sql')
ENVIRONMENT = dict(os.environ)  # as it was; that of a server must not decide what the next one is built with
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def moment(at):
    """Microseconds since 1970 as a datetime."""
    return EPOCH + timedelta(microseconds=at)


class Tap:
    """Prints TAP; the plan comes last."""

    def __init__(self):
        self.count = self.failed = 0

    def ok(self, good, name, diagnostics=()):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}", flush=True)
        if not good:
            for line in list(diagnostics)[:40]:
                self.note(line if len(line) < 400 else line[:400] + ' ...')
        return good

    def note(self, text):
        for line in str(text).splitlines():
            print(f'# {line}', flush=True)

    def done(self):
        print(f'1..{self.count}', flush=True)
        sys.exit(1 if self.failed else 0)


def wait_for(condition, seconds, what):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f'waited {seconds} s for {what}')
        time.sleep(0.02)


class Services:
    """PostgreSQL, Redis and Kafka in a folder that goes with the test."""

    def __init__(self, *names, **settings):
        self.dir = tempfile.mkdtemp(prefix='reco-')
        atexit.register(self.remove)
        self.up(*names, **settings)

    def run(self, script, *args):
        """A script of test/services; its words are shown when it fails."""
        done = subprocess.run([os.path.join(HERE, 'services', script), self.dir, *args], env=ENVIRONMENT,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise RuntimeError(f'{script} {" ".join(args)}: {done.stdout}')
        return done.stdout

    def up(self, *names, **settings):
        """Settings: reco__enabled='off' stands for reco.enabled = 'off'."""
        args = [arg for name, value in settings.items() for arg in ('-c', f'{name.replace("__", ".")}={value}')]
        self.run('up', *names, *args)
        with open(os.path.join(self.dir, 'env')) as lines:
            for line in lines:
                name, value = line.split(None, 1)[1].split('=', 1)
                os.environ[name] = os.path.expandvars(' '.join(shlex.split(value)))

    def down(self, *names, kill=False):
        self.run('down', *(['--kill'] if kill else []), *names)

    def remove(self):
        if os.environ.get('RECO_TEST_KEEP'):
            print(f'# kept: {self.dir}')
            return
        self.run('down', '--kill')
        shutil.rmtree(self.dir, ignore_errors=True)

    def connect(self, **options):
        connection = psycopg2.connect('', **options)
        connection.autocommit = True
        connection.cursor().execute("SET timezone = 'UTC'; SET jit = off")
        return connection


def query(connection, sql, args=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, args)
        return cursor.fetchall() if cursor.description else None


def execute(connection, sql, args=None):
    query(connection, sql, args)


def change_catalog(cursor, changes, end, table='reco.product', key='product_id', category='category'):
    """Applies a workload's changes to the mirror, or to the catalog itself, in one transaction."""
    empty = "nullif(%s, '')" if table == 'reco.product' else '%s'
    cursor.execute('BEGIN')
    for change in changes:
        if change[0] == 'put':
            cursor.execute(f'INSERT INTO {table} ({key}, {category}) VALUES (%s, {empty}) '
                           f'ON CONFLICT ({key}) DO UPDATE SET {category} = excluded.{category}', change[1:])
        elif change[0] == 'drop':
            cursor.execute(f'DELETE FROM {table} WHERE {key} = %s', change[1:])
        elif change[0] == 'rename':
            cursor.execute(f'UPDATE {table} SET {key} = %s WHERE {key} = %s', change[:0:-1])
        else:
            cursor.execute(f'UPDATE {table} SET {category} = %s WHERE {category} = %s', change[:0:-1])
    cursor.execute(end)


def make_oracle(connection):
    with open(ORACLE) as script:
        execute(connection, ''.join(line for line in script if not line.startswith('\\')))


def take_settings(connection, **settings):
    """Settings of reco in postgresql.auto.conf, read by the server before this returns."""
    for name, value in settings.items():
        execute(connection, f'ALTER SYSTEM SET reco.{name} = %s', (str(value),))
    execute(connection, 'SELECT pg_reload_conf()')
    for name, value in settings.items():
        wait_for(lambda: query(connection, """SELECT setting = %s FROM pg_settings WHERE name = %s""",
                               (str(value), f'reco.{name}'))[0][0], 10, f'reco.{name} to be {value}')


def oracle_differences(connection):
    """What differs from the reference SQL, and how many lists were left out, in one snapshot."""
    return query(connection, """
        SELECT array(SELECT format('%s %s: expected %s, found %s', relation, key, expected, found)
                     FROM reco_oracle.difference),
               (SELECT count(*) FROM reco_oracle.left_out)""")[0]


def reference_differences(connection, reference):
    """What differs from the reference in Python; the reference's clock must be the engine's."""
    result = []

    def compare(what, expected, found):
        for key in expected.keys() | found.keys():
            wanted, held = expected.get(key, '(none)'), found.get(key, '(none)')
            if wanted != held:
                result.append(f'{what} {key!r}: reference {wanted}, found {held}')

    clock, generation = query(connection, 'SELECT extract(epoch FROM clock)::bigint, generation FROM reco.state')[0]
    compare('clock', {'': reference.clock}, {'': clock})
    held = query(connection, 'SELECT product_id, category, popularity FROM reco.product')
    compare('category', reference.category, {product: category for product, category, _ in held})
    compare('popularity', reference.popularity, {product: popularity for product, _, popularity in held})
    compare('trending', reference.trending(), {
        (start * SECOND, product): count for start, product, count in query(
            connection, 'SELECT extract(epoch FROM window_start)::bigint, product_id, view_count FROM reco.trending_products')})

    recent, found = reference.recent(), {}
    for user, at, product in query(
            connection, 'SELECT user_id, extract(epoch FROM viewed_at)::bigint, product_id FROM reco.user_views'):
        found.setdefault(user, []).append((at, product))
    compare('views of', {user: sorted(views) for user, views in recent.items()},
            {user: sorted(views) for user, views in found.items()})

    older = {user for user, in query(connection, 'SELECT user_id FROM reco.user_state WHERE generation < %s', (generation,))}
    compare('list of', {user: products for user, products in reference.lists(recent).items() if user not in older},
            {user: products for user, products in query(
                connection, 'SELECT user_id, recommended_products FROM reco.user_recommendations') if user not in older})
    return result


def redis_differences(connection, client):
    """What Redis holds beside the tables, by the application's own reading: values, lives, keys left over."""
    with connection.cursor() as cursor:
        cursor.execute('BEGIN ISOLATION LEVEL REPEATABLE READ')
        lists = dict(query(connection, 'SELECT user_id, recommended_products FROM reco.user_recommendations'))
        ends = dict(query(connection, """SELECT user_id, extract(epoch FROM max(viewed_at) + recent_window - clock)::bigint
            FROM reco.user_views, reco.state GROUP BY user_id, recent_window, clock"""))
        windows = {}
        for start, product, count in query(connection, """SELECT to_char(window_start, 'YYYY-MM-DD"T"HH24:MI:SS'),
                product_id, view_count FROM reco.trending_products"""):
            windows.setdefault(f'trending:{start}', {})[product] = str(count)
        cursor.execute('COMMIT')
    result, keys = [], set(client.keys('*')) - {'reco:stamp'}
    for user, products in lists.items():
        value, ttl = client.get(str(user)), client.ttl(str(user))
        keys.discard(str(user))
        if value is None or json.loads(value) != {'user_id': user, 'recommended_products': products}:
            result.append(f'user {user}: expected {products}, found {value}')
        elif ttl < ends[user]:
            result.append(f'user {user}: the key has {ttl} s to live, the list {ends[user]} s')
    for key, hash in windows.items():
        keys.discard(key)
        if client.hgetall(key) != hash:
            result.append(f'{key}: expected {hash}, found {client.hgetall(key)}')
    return result + [f'{key} is left over' for key in keys]
