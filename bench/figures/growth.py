"""Growth: what an event costs with more users and with a longer history, each on services of its own."""
from figures.drain import run_once
from results import row


def points(options):
    """(users, events of history): 0.1, 1 and 5 times the users, and a history 10 times as long."""
    users, history = options.users, options.history
    return [(users // 10, history), (users, history), (5 * users, history), (users, 10 * history)]


def measure_point(bench, users, history):
    with bench.new_shop(users=users) as shop:
        prefilled = shop.prefill(history)
        runs = [run_once(shop, bench.options.events) for _ in range(bench.options.runs)]
        size = shop.value("SELECT pg_total_relation_size('reco.user_state')") / 2**20
    for run in runs:
        run['cost'] = run['cpu']['ingest'] + run['cpu']['publish']
    return {'users': users, 'history': history, 'prefilled': prefilled, 'runs': runs, 'user_state': size}


def name_of(point):
    return '%.3gM users, %.3gM events' % (point['users'] / 1e6, point['history'] / 1e6)


def measure(bench):
    found = []
    for users, history in points(bench.options):
        found.append(measure_point(bench, users, history))
        bench.tell('growth: %s: %.2f µs/event' % (name_of(found[-1]), median_cost(found[-1])))
    few, base, many, long = found
    rows = []
    for point in found:
        rows += [row('ingest + publish, ' + name_of(point), [run['cost'] for run in point['runs']], 'µs/event', None, 'user_state %.0f MB' % point['user_state']),
                 row('drain, ' + name_of(point), [run['rate'] for run in point['runs']], 'events/s')]
    rows += [row('cost, 50 times the users', median_cost(many) / median_cost(few), '×', ('<=', 1.5)),
             row('cost, 10 times the history', median_cost(long) / median_cost(base), '×')]
    return {'rows': rows, 'data': {'points': found}}


def median_cost(point):
    return sorted(run['cost'] for run in point['runs'])[len(point['runs']) // 2]


def draw(data, figure):
    cost, rate = figure.subplots(1, 2)
    names = [name_of(point).replace(', ', '\n') for point in data['points']]
    cost.bar(names, [median_cost(point) for point in data['points']])
    cost.set(title='Processor time of ingest and publish', ylabel='µs/event')
    for x, point in enumerate(data['points']):
        rate.plot([x] * len(point['runs']), [run['rate'] / 1000 for run in point['runs']], 'o', color='C0')
    rate.set(title='Drain', ylabel='thousand events/s', xticks=range(len(names)), xticklabels=names, ylim=(0, None))
    for axis in (cost, rate):
        axis.tick_params(axis='x', labelsize=7)
