"""Runs the peers of bench/peers: NAME/run, told by its environment what to read and where to put the result."""
import json
import os
import signal
import subprocess

from shop import HERE, SERVICES, Failure

FOLDER = os.path.join(HERE, 'peers')
HISTORY = 86340             # seconds over which the events of a peer's topic are spread
ALL = 0                     # everything that reco has taken: the topic of the history and the backlogs
BACKLOG = -1                # as many as reco drains
SIZES = {'limit': ALL, 'python': 1000000, 'flink expert': BACKLOG, 'flink article-minibatch': 100000, 'flink article': 50000}
OTHER_SIZE = 300000


def names():
    if not os.path.isdir(FOLDER):
        return []
    return sorted(name for name in os.listdir(FOLDER) if os.access(os.path.join(FOLDER, name, 'run'), os.X_OK))


def variants(name):
    words = subprocess.run([os.path.join(FOLDER, name, 'run'), '--variants'], stdout=subprocess.PIPE, text=True).stdout
    return words.split() or ['']


class Field:
    """Where peers run: their topics in the shop's Kafka, a Redis of their own, and a database server that reco has left."""

    def __init__(self, bench, shop):
        self.bench, self.shop = bench, shop
        self.dir = os.path.join(shop.dir, 'field')
        self.topics = {}

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
        found = [(name, variant) for name in names() for variant in variants(name)]
        if not found:
            self.bench.tell('peers: SKIPPED, there is none in bench/peers')
        wanted = self.bench.options.peer
        return [each for each in found if not wanted or each[0] in wanted or ':'.join(each) in wanted]

    def topic(self, events):
        """A topic with so many events: (name, events)."""
        if events == ALL:
            return 'user_activity', self.shop.value("SELECT sum(next_offset)::bigint FROM reco.offsets WHERE topic = 'user_activity'")
        if events not in self.topics:
            self.topics[events] = 'activity_%d' % events
            self.shop.topic(self.topics[events])
            self.shop.produce(events, HISTORY, topic=self.topics[events], seed=1000)
        return self.topics[events], events

    def size(self, name, variant):
        label = '%s %s' % (name, variant)
        size = next((size for prefix, size in SIZES.items() if label.startswith(prefix)), OTHER_SIZE)
        if size == ALL:
            return ALL
        return max(1000, int((self.bench.options.events if size == BACKLOG else size) * self.bench.options.peer_scale))

    def run(self, name, variant):
        size = self.size(name, variant)
        topic, events = self.topic(size)
        runs = []
        for n in range(self.bench.options.runs):
            runs.append(self.run_once(name, variant, topic, events))
            self.bench.tell('peer %s %s: %s' % (name, variant, json.dumps(runs[-1])))
            if not runs[-1].get('finished'):
                break
        return runs

    def run_once(self, name, variant, topic, events):
        work = os.path.join(self.dir, 'work')
        os.makedirs(work, exist_ok=True)
        limit = self.bench.options.peer_seconds
        self.shop_redis_clear()
        environment = {'TOPIC': topic, 'EVENTS': str(events), 'REDIS_PORT': self.redis_port, 'CATALOG': self.catalog, 'WORK': work,
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
