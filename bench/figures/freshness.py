"""Freshness: from produce() of an event to its user's list in Redis, beside a load of half the drain rate."""
import random
import socket
import time

from confluent_kafka import Producer

from figures.drain import mark
from machine import Sampler, busy_seconds, cpu_between
from results import quantile, row
from shop import wait_for

WARM_UP = 60                # seconds of load before the first probe: the broker's JVM compiles what it runs
PROBES_PER_SECOND = 20
POPULARITY = 360            # seconds: a run as long has a popularity, taken every 300, and its sweep
PATIENCE = 30               # seconds after which a probe counts as lost
FIRST_USER = 10**12         # above all users of the load: no other event makes these keys


class Keys:
    """Asks Redis which of some keys exist, with as little Python as possible: it runs every millisecond."""

    def __init__(self, port):
        self.socket = socket.create_connection(('127.0.0.1', port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = self.socket.makefile('rb')

    def count(self, keys):
        words = [b'EXISTS'] + [b'%d' % key for key in keys]
        self.socket.sendall(b'*%d\r\n' % len(words) + b''.join(b'$%d\r\n%s\r\n' % (len(word), word) for word in words))
        return int(self.replies.readline()[1:])

    def existing(self, keys):
        """One question for all of them, and one for each only when there is something to find."""
        return [key for key in keys if self.count([key])] if keys and self.count(keys) else []


def message(user, product):
    now = time.time()
    return '{"event_type":"page_view","user_id":%d,"product_id":"product_%d","timestamp":"%s.%03dZ"}' % (
        user, product, time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now)), now % 1 * 1000)


def probe(shop, seconds, first=FIRST_USER):
    """Probes at random moments, whatever became of those before; returns [(second, milliseconds)], None for a lost one."""
    producer = Producer({'bootstrap.servers': shop.env['KAFKA'], 'linger.ms': 0})
    keys = Keys(int(shop.env['REDIS_PORT']))
    pick = random.Random(1)
    producer.produce('user_activity', message(first - 1, 0))     # connects: its own time does not count
    producer.flush(PATIENCE)
    begin = time.monotonic()
    due, waiting, seen = begin, {}, []
    user = first
    while time.monotonic() < begin + seconds or waiting:
        now = time.monotonic()
        if due <= now < begin + seconds:
            waiting[user] = now
            producer.produce('user_activity', message(user, pick.randrange(shop.products)))
            producer.poll(0)
            user += 1
            due += pick.uniform(0.5, 1.5) / PROBES_PER_SECOND
        for key in keys.existing(list(waiting)):
            sent = waiting.pop(key)
            seen.append((sent - begin, (time.monotonic() - sent) * 1000))
        for key in [key for key, sent in waiting.items() if now - sent > PATIENCE]:
            seen.append((waiting.pop(key) - begin, None))
        time.sleep(0.001)
    producer.flush(10)
    return seen


def lag_sampler(shop):
    connection = shop.connect()
    return Sampler(1, lambda: {**{name: worker['lag_messages'] for name, worker in shop.status(connection).items()},
                               'kept': busy_seconds()[1]})


def most_kept(lags):
    """Processors that the host kept for itself in its worst second."""
    return max([(sample['kept'] - before['kept']) / (at - then) for (then, before), (at, sample) in zip(lags, lags[1:])] or [0])


def cpu_rows(cpu, events, said):
    """Processor time by process; the load generator, which may have ended, tells its own."""
    return [row('processor time of ' + name, spent * 1e6 / events, 'µs/event') for name, spent in sorted(cpu.items()) if name != 'load'] + \
           [row('processor time of the load generator', said['cpu_seconds'] * 1e6 / said['events'], 'µs/event')]


def measure(bench):
    rate, seconds = bench.half_rate(), bench.options.freshness
    shop = bench.shop()
    shop.settle()
    bench.tell('freshness at %.0f events/s, %d s' % (rate, seconds))
    warm = shop.counters()['ingest.messages'] + WARM_UP * rate
    load = shop.steady(rate, WARM_UP + seconds + PATIENCE + 5)
    wait_for(lambda: shop.counters()['ingest.messages'] >= warm, 4 * WARM_UP, 'the warm-up', 1)
    generation = shop.value('SELECT generation FROM reco.state')
    begin, lag, own, busy = mark(shop), lag_sampler(shop), time.process_time(), busy_seconds()
    seen = probe(shop, seconds)
    after, own, busy = mark(shop), time.process_time() - own, [now - then for now, then in zip(busy_seconds(), busy)]
    popularities = shop.value('SELECT generation FROM reco.state') - generation - (0 if shop.swept() else 1)
    lags = lag.stop()
    said = shop.end(load)
    shop.settle()
    times = [ms for _, ms in seen if ms is not None]
    events = after['counters']['ingest.messages'] - begin['counters']['ingest.messages']
    cpu = cpu_between(begin['cpu'], after['cpu'])
    worst = max((sample['ingest'] or 0) for _, sample in lags)
    note = '%d probes beside %.0f events/s' % (len(seen), rate)
    rows = [row('event to list in Redis, p50', quantile(times, 0.5), 'ms', ('<=', 50), note),
            row('p95', quantile(times, 0.95), 'ms'), row('p99', quantile(times, 0.99), 'ms', ('<=', 250)),
            row('max', max(times), 'ms'), row('lost probes', len(seen) - len(times), 'probes', ('<=', 0)),
            row('events taken meanwhile', events / (after['at'] - begin['at']), 'events/s', ('>=', 0.97 * rate)),
            row('popularities taken, and all lists swept, meanwhile', popularities, '', ('>=', 1) if seconds >= POPULARITY else None),
            row('lists swept meanwhile', after['counters']['follow.swept'] - begin['counters']['follow.swept'], 'lists'),
            row('most messages behind', worst, 'messages'), row('load generator behind its own schedule, worst', said['behind_ms'], 'ms'),
            row('WAL', (after['wal'] - begin['wal']) / events, 'B/event')]
    rows += cpu_rows(cpu, events, said)
    length = after['at'] - begin['at']
    rows += [row('processors that the probes keep busy', own / length, 'processors'),
             row('processors busy with anything', busy[0] / length, 'processors', None, '%.2f more kept by the host' % (busy[1] / length)),
             row('kept by the host in the worst second', most_kept(lags), 'processors')]
    return {'rows': rows, 'data': {'rate': rate, 'seen': seen, 'lag': lags, 'cpu': cpu, 'wal': (after['wal'] - begin['wal']) / events}}


def draw(data, figure):
    times = sorted(ms for _, ms in data['seen'] if ms is not None)
    share, course = figure.subplots(1, 2)
    share.plot(times, [100 * (n + 1) / len(times) for n in range(len(times))])
    for q in (50, 95, 99):
        share.axhline(q, color='gray', linewidth=0.5)
    share.set(title='Event to list in Redis, at %.0f events/s' % data['rate'], xlabel='ms (logarithmic)', ylabel='% of the probes', xscale='log')
    found = [(at, ms) for at, ms in data['seen'] if ms is not None]
    course.plot(*zip(*found), '.', markersize=3)
    course.set(title='In the course of time', xlabel='s', ylabel='ms')

