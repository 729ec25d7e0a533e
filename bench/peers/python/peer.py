"""What the Python peers share: settings, a database of their own, messages from Kafka, events, Redis, the last line."""
import io
import json
import os
import resource
import sys
import time
from datetime import datetime, timedelta, timezone

import confluent_kafka
import psycopg2
import redis

USER_TTL = 93600      # H + 1 h of future + 1 h, as reco's
WINDOW_TTL = 100800
FUTURE = timedelta(hours=1)
NEEDS_PRODUCT = ('page_view', 'click', 'add_to_cart', 'purchase')

events = int(os.environ['EVENTS'])
limit = float(os.environ.get('LIMIT_SECONDS', 'inf'))
popularity_seconds = float(os.environ.get('POPULARITY_SECONDS', 300))
begun = time.monotonic()


def begin():
    """From here on time counts: what comes before is preparation."""
    global begun
    begun = time.monotonic()


def elapsed():
    return time.monotonic() - begun


class Database:
    """A database of the peer's own, dropped at the end, and a connection to it."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.create()
        self.connection = psycopg2.connect(dbname=self.name)
        with self.connection.cursor() as cursor:
            cursor.execute('SELECT pg_backend_pid()')
            self.backend, = cursor.fetchone()
        self.connection.commit()
        return self.connection

    def __exit__(self, *_):
        self.connection.close()
        self.drop()

    def create(self):
        self.drop()
        self._administer(f'CREATE DATABASE {self.name} TEMPLATE template0')

    def drop(self):
        self._administer(f'DROP DATABASE IF EXISTS {self.name} WITH (FORCE)')

    def cpu_seconds(self):
        """Of the backend, where it runs on this machine; parallel workers are not counted."""
        with open(f'/proc/{self.backend}/stat') as stat:
            fields = stat.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def rss_mb(self):
        with open(f'/proc/{self.backend}/status') as status:
            return max(int(line.split()[1]) for line in status if line.startswith('VmHWM')) / 1024

    @staticmethod
    def _administer(statement):
        connection = psycopg2.connect(dbname='postgres')
        connection.autocommit = True
        connection.cursor().execute(statement)
        connection.close()


def copy(cursor, table, rows):
    """Rows of text, numbers and None."""
    escape = str.maketrans({'\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r'})
    lines = ('\t'.join('\\N' if value is None else str(value).translate(escape) for value in row) + '\n' for row in rows)
    cursor.copy_expert(f'COPY {table} FROM STDIN', io.StringIO(''.join(lines)))


def copy_catalog(cursor, table):
    """Of several lines with one key the smallest category counts; '' is none."""
    catalog = {}
    with open(os.environ['CATALOG'], encoding='utf-8', newline='\n') as file:
        for line in file:
            product, _, category = line.rstrip('\n').partition('\t')
            held = catalog.get(product)
            catalog[product] = min(filter(None, (held, category)), key=str.encode, default=None)
    copy(cursor, table, catalog.items())


def consumer():
    kafka = confluent_kafka.Consumer({
        'bootstrap.servers': os.environ['KAFKA'], 'group.id': 'peer', 'enable.auto.commit': False,
        # librdkafka 2.0.2 sleeps for a second whenever it has as many
        'queued.min.messages': 1000000, 'queued.max.messages.kbytes': 262144})
    topic = os.environ['TOPIC']
    partitions = kafka.list_topics(topic, 10).topics[topic].partitions
    kafka.assign([confluent_kafka.TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING) for p in partitions])
    return kafka


def parse_time(value, message_ms):
    if value is None:
        value = message_ms
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1000, timezone.utc)
    at = datetime.fromisoformat(value.replace('Z', '+00:00'))
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


def parse(message):
    """(type, user, product, query, time), or None for a message that reco refuses."""
    try:
        fields = json.loads(message.value())
        kind, user = fields['event_type'], fields['user_id']
        if type(user) not in (int, str):
            return None
        user = int(user)
        product, query = fields.get('product_id'), fields.get('query')
        at = parse_time(fields.get('timestamp'), message.timestamp()[1])
        wrong = (not 1 <= len(kind.encode()) <= 64 or not -2**63 <= user < 2**63
                 or (product is None and kind in NEEDS_PRODUCT) or (query is None and kind == 'search')
                 or (product is not None and not 1 <= len(product.encode()) <= 512)
                 or '\0' in f'{kind}{product}{query}'
                 or at.timestamp() * 1000 > message.timestamp()[1] + FUTURE.total_seconds() * 1000)
        return None if wrong else (kind, user, product, query, at)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def take(kafka, count, seconds):
    """Up to count messages: (how many, the events among them, the next offset of each partition)."""
    messages = kafka.consume(count, seconds)
    offsets, rows = {}, []
    for message in messages:
        if message.error():
            raise confluent_kafka.KafkaException(message.error())
        offsets[message.partition()] = message.offset() + 1
        if message.value() is not None:
            event = parse(message)
            if event:
                rows.append(event)
    return len(messages), rows, offsets


class Publisher:
    def __init__(self):
        self.redis = redis.Redis(port=int(os.environ['REDIS_PORT']))
        self.pipeline = self.redis.pipeline(transaction=False)

    def user(self, user, products):
        if products:
            value = json.dumps({'user_id': user, 'recommended_products': products},
                               separators=(',', ':'), ensure_ascii=False)
            self.pipeline.set(user, value, ex=USER_TTL)
        else:
            self.pipeline.delete(user)
        if len(self.pipeline) >= 10000:
            self.send()

    def window(self, start, counts):
        """A hash is replaced as a whole; that takes a transaction of its own."""
        self.send()
        key = f'trending:{start:%Y-%m-%dT%H:%M:%S}'
        with self.redis.pipeline(transaction=True) as replace:
            replace.delete(key)
            if counts:
                replace.hset(key, mapping=counts)
                replace.expire(key, WINDOW_TTL)
            replace.execute()

    def send(self):
        self.pipeline.execute()


def progress(peer, taken):
    print(f'{peer}: {taken} of {events} events', file=sys.stderr, flush=True)


def report(peer, taken, seconds, finished, database, leaves_out, **more):
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({
        'peer': peer, 'variant': 'default', 'events': taken, 'seconds': round(seconds, 3), 'finished': finished,
        'cpu_seconds': round(usage.ru_utime + usage.ru_stime + database.cpu_seconds(), 2),
        'rss_mb': round(usage.ru_maxrss / 1024 + database.rss_mb(), 1), 'leaves_out': leaves_out, **more}), flush=True)
