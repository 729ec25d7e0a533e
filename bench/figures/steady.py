"""Steady: half an hour at half load with short windows, so that as many views age out as arrive."""
from figures.drain import mark
from figures.freshness import cpu_rows
from figures.sizes import draw_sizes, growth_rows, sizes
from machine import Sampler, cpu_between
from results import row
from shop import wait_for

WINDOW, RECENT = 60, 600        # seconds: W and H
VIEWS = 0.8                     # of the events; the load is the events and the views that age out


def measure(bench):
    rate, minutes = bench.half_rate() / (1 + VIEWS), bench.options.minutes
    scale = minutes / 30        # a smoke run has shorter windows, too
    window, recent = max(1, int(WINDOW * scale)), max(10, int(RECENT * scale))
    with bench.new_shop(reco__trending_window='%ds' % window, reco__recent_window='%ds' % recent) as shop:
        bench.tell('steady: %.0f events/s for %.1f minutes, W = %d s, H = %d s' % (rate, minutes, window, recent))
        connection = shop.connect()
        load = shop.steady(rate, minutes * 60)
        begin = mark(shop)
        samples = Sampler(min(10, minutes), lambda: sizes(shop, connection))
        wait_for(lambda: bench.watch(load, samples, minutes), minutes * 60 + 300, 'the end of the load', 1)
        taken, after = samples.stop(), mark(shop)
        said = shop.end(load)
        shop.settle()
        events = after['counters']['ingest.messages'] - begin['counters']['ingest.messages']
        differ = len(shop.rows('SELECT * FROM reco_verify(0.01)'))
    until, flat = minutes * 60, 12 / 30 * minutes * 60
    cpu = cpu_between(begin['cpu'], after['cpu'])
    lags = [sample['lag'] for _, sample in taken]
    rows = [row('load', said['events'] / said['seconds'], 'events/s', ('>=', 0.97 * rate)), row('taken', events, 'events'),
            row('most messages behind', max(lags), 'messages'), row('messages behind at the end', lags[-1], 'messages', ('<=', rate)),
            row('rows that differ (reco_verify, 1 %)', differ, 'rows', ('<=', 0)),
            row('late events', after['counters']['ingest.below_retention'] - begin['counters']['ingest.below_retention'], 'events')]
    rows += growth_rows(taken, flat, until, 'from minute %.3g to the end' % (flat / 60), 5)
    rows += cpu_rows(cpu, events, said)
    return {'rows': rows, 'data': {'rate': rate, 'samples': taken, 'flat': flat, 'window': window, 'recent': recent}}


def draw(data, figure):
    size, lag = figure.subplots(2, 1, gridspec_kw={'height_ratios': [3, 1]}, sharex=True)
    draw_sizes(data['samples'], size, 'Sizes at %.0f events/s, W = %d s, H = %d s' % (data['rate'], data['window'], data['recent']),
               [(data['flat'], 'flat from here')])
    lag.plot([at / 60 for at, _ in data['samples']], [sample['lag'] for _, sample in data['samples']])
    lag.set(xlabel='minutes', ylabel='messages behind')
