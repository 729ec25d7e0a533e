"""WAL: what reco writes ahead for an event, while it drains, at half load, and idle."""
import time

from figures.drain import mark
from results import row
from shop import wait_for


def between(shop, seconds):
    """WAL bytes and events of some seconds."""
    begin = mark(shop)
    wait_for(lambda: time.monotonic() >= begin['at'] + seconds, seconds + 60, 'some seconds')
    after = mark(shop)
    events = after['counters']['ingest.messages'] - begin['counters']['ingest.messages']
    return {'bytes': after['wal'] - begin['wal'], 'events': events, 'seconds': after['at'] - begin['at']}


def measure(bench):
    shop, rate, seconds = bench.shop(), bench.half_rate(), bench.options.seconds
    shop.settle()
    idle = between(shop, seconds)
    load = shop.steady(rate, seconds + 30)
    steady = between(shop, seconds)
    shop.end(load)
    shop.settle()
    drained = bench.data('drain')
    rows = [row('idle', idle['bytes'] / idle['seconds'], 'B/s'),
            row('at %.0f events/s' % rate, steady['bytes'] / max(1, steady['events']), 'B/event')]
    data = {'event': {'half load': rows[1]['value']}, 'second': {'idle': rows[0]['value'], 'half load': steady['bytes'] / steady['seconds']}}
    if drained:
        rows.append(row('while it drains', [run['wal'] for run in drained['runs']], 'B/event'))
        data['event']['drain'] = rows[-1]['value']
        data['second']['drain'] = rows[-1]['value'] * bench.drain_rate()
    return {'rows': rows, 'data': data}


def draw(data, figure):
    for axis, (name, title) in zip(figure.subplots(1, 2), (('event', 'Write-ahead log, by event'), ('second', 'Write-ahead log, by second'))):
        bars = axis.bar(list(data[name]), list(data[name].values()))
        axis.bar_label(bars, fmt='%.3g')
        axis.set(title=title, ylabel='B/event' if name == 'event' else 'B/s')
