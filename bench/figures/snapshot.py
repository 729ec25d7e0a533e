"""Snapshot: a REPEATABLE READ transaction held open under load, what it makes grow, and what is reused afterwards."""
from figures.sizes import draw_sizes, mean, sizes
from machine import Sampler
from results import row
from shop import wait_for

RATE = 5000
AFTER = 1 / 3               # how long the load goes on afterwards, of the snapshot's time


def hold(shop):
    connection = shop.connect()
    shop.rows('BEGIN ISOLATION LEVEL REPEATABLE READ', connection=connection)
    pid = shop.value('SELECT pg_backend_pid() FROM reco.state', connection=connection)
    return connection, pid


def named(shop, pid):
    """Does reco_status() say who holds the old snapshot?"""
    return shop.value("SELECT coalesce(%s = ANY (blocked_by), false) FROM reco_status() WHERE component = 'snapshot'", (pid,))


def measure(bench):
    shop, minutes = bench.shop(), bench.options.minutes
    rate = min(RATE, bench.half_rate())
    shop.settle()
    held, total = minutes * 60, minutes * 60 * (1 + AFTER)
    bench.tell('snapshot: %.0f events/s, %.1f minutes beside an open snapshot, then %.1f without' % (rate, minutes, minutes * AFTER))
    connection = shop.connect()
    before = sizes(shop, connection)
    reader, pid = hold(shop)
    load = shop.steady(rate, total)
    samples = Sampler(min(10, minutes), lambda: sizes(shop, connection))
    wait_for(lambda: bench.watch(load, samples, total / 60) or samples.samples and samples.samples[-1][0] >= held, held + 60, 'the end of the snapshot', 1)
    says = named(shop, pid)
    released = samples.samples[-1][0]
    reader.close()
    wait_for(lambda: bench.watch(load, samples, total / 60), total + 300, 'the end of the load', 1)
    taken = samples.stop()
    shop.end(load)
    shop.settle()
    for _, sample in taken:
        sample['derived'] = sample['total'] - sample['activity']    # which grows with its events, whoever looks
    before['derived'] = before['total'] - before['activity']
    events = rate * released
    at_release, end = taken_at(taken, released), taken[-1][0]
    settled = mean(taken, 'derived', released + (end - released) / 3, released + (end - released) / 2)
    last = mean(taken, 'derived', end - (end - released) / 6, end)
    halves = [mean(taken, 'derived', released * f - 30, released * f) for f in (0.5, 1)]
    grown = at_release['derived'] - before['derived']
    rows = [row('growth beside the snapshot, without activity', grown, 'MB', None, '%.0f → %.0f MB' % (before['derived'], at_release['derived'])),
            row('growth an event', grown * 2**20 / events, 'B/event'),
            row('share of the growth in the second half', 100 * (halves[1] - halves[0]) / max(1e-9, halves[1] - before['derived']), '%', None, '50: steady; less: it levels off'),
            row('growth after the release, load goes on', 100 * (last / settled - 1), '%', ('<=', 2), '%.0f → %.0f MB' % (settled, last)),
            row('most messages behind', max(sample['lag'] for _, sample in taken), 'messages'),
            row('reco_status() names the snapshot', int(says), '(1: yes)', ('>=', 1))]
    rows += [row('growth of ' + name, at_release[name] - before[name], 'MB') for name in ('user_state', 'activity', 'window_counter', 'product')]
    return {'rows': rows, 'data': {'rate': rate, 'samples': taken, 'released': released}}


def taken_at(samples, second):
    return [sample for at, sample in samples if at <= second][-1]


def draw(data, figure):
    draw_sizes(data['samples'], figure.subplots(), 'Sizes beside an open snapshot, %.0f events/s' % data['rate'], [(data['released'], 'snapshot released')])
