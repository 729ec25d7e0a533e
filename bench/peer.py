"""Runs the peers of bench/peers: NAME/run, told by its environment what to read and where to put the result."""
import json
import os
import signal
import subprocess

from shop import HERE, SERVICES, Failure

FOLDER = os.path.join(HERE, 'peers')
DAY = 86340                 # seconds over which the events of a peer's topic are spread
BACKLOG_SECONDS = 600       # those of a backlog that comes after a history
ALL = 0                     # everything that reco has taken: the topic of the history and the backlogs
BACKLOG = -1                # as many as reco drains
AFTER_HISTORY = -2          # the same, after as many as reco has before it, for which no clock runs; once, for it takes half an hour
# By the beginning of a peer's name and variant: how many events it takes, and its time limit as a multiple of --peer-seconds.
SIZES = {'limit': [ALL], 'python': [1000000], 'flink expert-rocksdb': [AFTER_HISTORY], 'flink expert-checkpoint': [BACKLOG, AFTER_HISTORY],
         'flink expert': [BACKLOG], 'flink article-minibatch': [100000], 'flink article': [50000], '': [300000]}
LIMITS = {'flink expert-rocksdb': 4, '': 1}


def names():
    if not os.path.isdir(FOLDER):
        return []
    return sorted(name for name in os.listdir(FOLDER) if os.access(os.path.join(FOLDER, name, 'run'), os.X_OK))


def variants(name):
    words = subprocess.run([os.path.join(FOLDER, name, 'run'), '--variants'], stdout=subprocess.PIPE, text=True).stdout
    return words.split() or ['']


def by_label(table, name, variant):
    return next(value for prefix, value in table.items() if ('%s %s' % (name, variant)).startswith(prefix))


class Field:
    """Where peers run: their topics in the shop's Kafka, a Redis of their own, and a database server that reco has left."""

    def __init__(self, bench, shop):
        self.bench, self.shop = bench, shop
        self.dir = os.path.join(shop.dir, 'field')
        self.topics = set()

    def __enter__(self):
        self.shop.script('up', self.dir, 'redis')
        with open(os.path.join(self.dir, 'env')) as lines:
            self.redis_port = next(line.split('=', 1)[1].strip() for line in lines if line.startswith('export REDIS_PORT='))
        self.catalog = os.path.join(self.dir, 'catalog.tsv')
        with open(self.catalog, 'w') as file, self.shop.connection.cursor() as cursor:
            cursor.copy_expert('COPY (SELECT product_id, category FROM products) TO STDOUT', file)
        return self

    def __exit__(self, *_):
        self.shop.script('down', self.dir, '--kill', '--remove')

    def contestants(self):
        """Peers, their variants, and how many events each takes."""
        found = [(name, variant, size) for name in names() for variant in variants(name) for size in by_label(SIZES, name, variant)]
        if not found:
            self.bench.tell('peers: SKIPPED, there is none in bench/peers')
        wanted = self.bench.options.peer
        return [each for each in found if not wanted or each[0] in wanted or ':'.join(each[:2]) in wanted]

    def topic(self, history, events):
        """A topic with so many events: its name and their number."""
        if events == ALL:
            return 'user_activity', self.shop.value("SELECT sum(next_offset)::bigint FROM reco.offsets WHERE topic = 'user_activity'")
        name = 'activity_%d_%d' % (history, events)
        if name not in self.topics:
            self.topics.add(name)
            self.shop.topic(name)
            if history:
                self.shop.produce(history, DAY, topic=name, seed=1000)
            self.shop.produce(events, BACKLOG_SECONDS if history else DAY, topic=name, seed=1001)
        return name, history + events

    def events(self, size):
        if size == ALL:
            return ALL
        return max(1000, int((self.bench.options.events if size < 0 else size) * self.bench.options.peer_scale))

    def run(self, name, variant, size):
        history = int(self.bench.options.history * self.bench.options.peer_scale) if size == AFTER_HISTORY else 0
        topic, events = self.topic(history, self.events(size))
        runs = []
        for n in range(1 if history else self.bench.options.runs):
            runs.append(self.run_once(name, variant, topic, history, events))
            self.bench.tell('peer %s %s: %s' % (name, variant, json.dumps(runs[-1])))
            if not runs[-1].get('finished'):
                break
        return runs

    def run_once(self, name, variant, topic, history, events):
        work = os.path.join(self.dir, 'work')
        os.makedirs(work, exist_ok=True)
        limit = self.bench.options.peer_seconds * by_label(LIMITS, name, variant)
        self.shop_redis_clear()
        environment = {'TOPIC': topic, 'HISTORY': str(history), 'EVENTS': str(events), 'REDIS_PORT': self.redis_port, 'CATALOG': self.catalog, 'WORK': work,
                       'VARIANT': variant, 'LIMIT_SECONDS': str(limit)}
        process = self.shop.spawn(os.path.join(FOLDER, name, 'run'), env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            words = process.communicate(timeout=limit + 120)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)      # the group that this very program leads
            process.communicate()
            return {'events': events, 'finished': False, 'failure': 'no end after %d s' % limit}
        try:
            return json.loads(words.strip().split('\n')[-1])
        except ValueError:
            return {'events': events, 'finished': False, 'failure': 'ended with status %s and without a result' % process.returncode}

    def shop_redis_clear(self):
        done = subprocess.run(['redis-cli', '-p', self.redis_port, 'flushall'], stdout=subprocess.PIPE, text=True)
        if done.stdout.strip() != 'OK':
            raise Failure('the Redis of the peers does not answer')
