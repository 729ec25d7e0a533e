"""Drain: how fast a backlog in Kafka gets into the tables and into Redis, on top of a history of 24 hours."""
import json
import random
import time

from machine import cpu_between
from results import row
from shop import Failure, wait_for

BACKLOG_SECONDS = 600       # the backlog's times lie in the last minutes
INGEST_PHASES = ('consume', 'parse', 'insert', 'commit')
WITHIN = {'sort': 'insert', 'trending': 'insert', 'users': 'insert', 'lists': 'users'}     # phases that stand within another
WORKERS = ('ingest', 'publish', 'follow', 'other postgres', 'redis', 'kafka')


def differing(shop, users):
    """Of some users, those who have another list in Redis than in the table."""
    found = shop.rows('SELECT user_id, recommended_products FROM reco.user_recommendations WHERE user_id = ANY (%s)', (users,))
    values = shop.redis.mget([str(user) for user, _ in found]) if found else []
    return [user for (user, expected), value in zip(found, values) if value is None or json.loads(value)['recommended_products'] != expected]


def wrong_lists(shop, count):
    """How many of some users have another list in Redis; a view may turn old between the two looks, so who differs is asked again."""
    return len(differing(shop, differing(shop, random.sample(range(1, shop.users + 1), min(count, shop.users)))))


def backlog(shop, events):
    """Puts a backlog into Kafka while reco is away."""
    shop.enable(False)
    shop.produce(events, BACKLOG_SECONDS)


def mark(shop):
    return {'at': time.monotonic(), 'cpu': shop.processes.cpu(), 'wal': int(shop.value("SELECT pg_current_wal_insert_lsn() - '0/0'")),
            'counters': shop.counters()}


def await_first(shop, before):
    """The first look at which messages have been taken: they are not counted, for how long they took is not known."""
    name = 'ingest.messages'
    wait_for(lambda: shop.counters()[name] > before['counters'][name], 300, 'ingestion to begin', 0.005)
    return mark(shop)


def await_redis(shop):
    """When the publisher had nothing left: seen three times, so that no message is between the two."""
    end, seen = time.monotonic() + 600, 0
    while seen < 3:
        if time.monotonic() > end:
            raise Failure('Redis does not catch up')
        seen, at = (seen + 1, at if seen else time.monotonic()) if shop.published() else (0, None)
        time.sleep(0.01)
    return at


def run_once(shop, events):
    """One backlog; the clock starts when the first batch has been taken and stops when Redis equals the tables."""
    backlog(shop, events)
    before = mark(shop)
    shop.enable(True, wait=False)
    begin = await_first(shop, before)
    upto = before['counters']['ingest.messages'] + events
    wait_for(lambda: shop.counters()['ingest.messages'] >= upto, 3600, 'the backlog to be taken', 0.02)
    tables = time.monotonic()
    redis = await_redis(shop)
    after = mark(shop)
    wrong = wrong_lists(shop, 1000)
    shop.settle()
    return {**summary(events, before, begin, tables, redis, after), 'wrong': wrong}


def summary(events, before, begin, tables, redis, after):
    counted = {name: after['counters'][name] - value for name, value in begin['counters'].items()}
    if counted['ingest.below_retention'] + counted['ingest.rejected'] + counted['ingest.lost'] > 0:
        raise Failure('events of the backlog were below retention, rejected or lost: %s' % counted)
    taken = counted['ingest.messages']
    cpu = cpu_between(begin['cpu'], after['cpu'])
    return {
        'events': events, 'rate': taken / (redis - begin['at']), 'tables': taken / (tables - begin['at']),
        'start': begin['at'] - before['at'], 'whole': events / (redis - before['at']), 'wal': (after['wal'] - begin['wal']) / taken,
        'cpu': {name: cpu.get(name, 0) * 1e6 / taken for name in WORKERS},
        'phases': {name[6:]: ns / 1e3 / taken for name, ns in counted.items() if name.startswith('phase.')},
        'swept': counted['follow.swept'], 'lists': counted['ingest.lists'], 'published': counted['publish.published'],
    }


def waits(run):
    """What of ingestion's time no phase has: it is asleep, or others have the processor."""
    return 1e6 / run['tables'] - sum(run['phases'][name] for name in INGEST_PHASES)


def measure(bench):
    shop, options = bench.shop(), bench.options
    runs = []
    for n in range(options.runs):
        runs.append(run_once(shop, options.events))
        bench.tell('drain %d of %d: %.0f events/s' % (n + 1, options.runs, runs[-1]['rate']))
    different = len(shop.rows('SELECT * FROM reco_redis_verify()'))
    rows = [row('backlog of %d to Redis' % options.events, [run['rate'] for run in runs], 'events/s', ('>=', 100000)),
            row('the same to the tables', [run['tables'] for run in runs], 'events/s'),
            row('start of the workers and first batch, not in the rate', [run['start'] for run in runs], 's'),
            row('to Redis with that start', [run['whole'] for run in runs], 'events/s'),
            row('keys that differ after the runs (reco_redis_verify)', different, 'keys', ('<=', 0)),
            row('of 1000 users after each run, most', max(run['wrong'] for run in runs), 'differ', ('<=', 0)),
            row('WAL', [run['wal'] for run in runs], 'B/event'),
            row('lists brought to a new generation meanwhile', [run['swept'] for run in runs], 'lists'),
            row('history through Kafka before', bench.prefilled, 'events/s')]
    rows += [row('processor time of ' + name, [run['cpu'][name] for run in runs], 'µs/event') for name in WORKERS]
    rows += [row('phase ' + name + (', a part of ' + WITHIN[name] if name in WITHIN else ''), [run['phases'][name] for run in runs], 'µs/event')
             for name in runs[0]['phases']]
    rows.append(row('ingest outside of its phases', [waits(run) for run in runs], 'µs/event'))
    return {'rows': rows, 'data': {'runs': runs}}


def draw(data, figure):
    runs = data['runs']
    rate, cost = figure.subplots(1, 2, gridspec_kw={'width_ratios': [1, 2]})
    rate.bar([str(n + 1) for n in range(len(runs))], [run['rate'] / 1000 for run in runs])
    rate.set(title='Drain of %d events, Kafka to Redis' % runs[0]['events'], xlabel='run', ylabel='thousand events/s')
    names = [('processor: ' + name, [run['cpu'][name] for run in runs]) for name in WORKERS] + \
            [('phase: ' + name, [run['phases'][name] for run in runs]) for name in runs[0]['phases']]
    names.reverse()
    cost.barh([name for name, _ in names], [sorted(values)[len(values) // 2] for _, values in names])
    cost.set(title='Cost of an event, median (phases overlap between processes)', xlabel='µs/event')
