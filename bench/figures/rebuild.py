"""Rebuild: computing the derived state anew from activity and mirror, until Redis equals it again."""
import time

from results import row


def measure(bench):
    shop = bench.shop()
    shop.settle()
    events = shop.value('SELECT count(*) FROM reco.activity')
    connection = shop.connect()
    runs = []
    for n in range(bench.options.runs):
        begin = time.monotonic()
        shop.rows('SELECT reco_rebuild()', connection=connection)
        tables = time.monotonic() - begin
        shop.settle()
        runs.append({'tables': tables, 'redis': time.monotonic() - begin})
        bench.tell('rebuild %d of %d: %.1f s, Redis after %.1f s' % (n + 1, bench.options.runs, tables, runs[-1]['redis']))
    lists = shop.value('SELECT count(*) FROM reco.user_recommendations')
    rows = [row('rebuild of %d events' % events, [events / run['tables'] for run in runs], 'events/s'),
            row('the same, %d lists' % lists, [lists / run['tables'] for run in runs], 'lists/s'),
            row('time to the tables', [run['tables'] for run in runs], 's'),
            row('time to Redis', [run['redis'] for run in runs], 's')]
    return {'rows': rows, 'data': {'events': events, 'lists': lists, 'runs': runs}}


def draw(data, figure):
    axis = figure.subplots()
    runs = data['runs']
    axis.bar([n - 0.2 for n in range(len(runs))], [run['tables'] for run in runs], 0.4, label='tables')
    axis.bar([n + 0.2 for n in range(len(runs))], [run['redis'] for run in runs], 0.4, label='Redis')
    axis.set(title='Rebuild of %d events, %d lists' % (data['events'], data['lists']), xlabel='run', ylabel='s', xticks=range(len(runs)))
    axis.legend()
