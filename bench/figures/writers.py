"""Writers of the catalog: small transactions with reco on and off, in turns."""
import pgbench
from results import row

PAIRS = 20                  # many and short, for a disk's fsync varies more than what is looked for
RATE = 200                  # transactions a second of the paced runs
MOVE = """\\set product random(0, :products - 1)
\\set category random(0, :categories - 1)
UPDATE products SET category = 'category_' || :category WHERE product_id = 'product_' || :product;
"""


def run(bench, shop, on, rate):
    shop.enable(on)
    if on:
        shop.settle()
        shop.rows('SELECT reco_follow_wait(600000)')
    shop.rows('CHECKPOINT')
    return pgbench.run(shop, MOVE, max(1, bench.options.seconds // 2), rate=rate, variables={'products': shop.products, 'categories': shop.categories})


def pairs(bench, shop, rate):
    runs = []
    for n in range(PAIRS):
        pair = {}
        for on in ((True, False) if n % 2 == 0 else (False, True)):
            pair['on' if on else 'off'] = run(bench, shop, on, rate)
        runs.append(pair)
        bench.tell('writers %s, %d of %d: on %.0f tps, %.0f µs; off %.0f tps, %.0f µs' % (
            'paced' if rate else 'flat out', n + 1, PAIRS, pair['on']['tps'], pair['on']['p50'], pair['off']['tps'], pair['off']['p50']))
    return runs


def slower(runs, column):
    """By how many per cent the writers are slower with reco on."""
    if column == 'tps':
        return [(run['off']['tps'] / run['on']['tps'] - 1) * 100 for run in runs]
    return [(run['on'][column] / run['off'][column] - 1) * 100 for run in runs]


def measure(bench):
    shop = bench.shop()
    shop.settle()
    shop.rows("ALTER TABLE products SET (fillfactor = 80)")
    fast, paced = pairs(bench, shop, None), pairs(bench, shop, RATE)
    shop.enable(True)
    shop.settle()
    rows = [row('one writer flat out, reco on', [run['on']['tps'] for run in fast], 'tps'),
            row('the same, reco off', [run['off']['tps'] for run in fast], 'tps'),
            row('slower by', slower(fast, 'tps'), '%', ('<=', 3)),
            row('%d transactions/s, p50, reco on' % RATE, [run['on']['p50'] for run in paced], 'µs'),
            row('the same, reco off', [run['off']['p50'] for run in paced], 'µs'),
            row('slower by', slower(paced, 'p50'), '%', ('<=', 3)),
            row('slower by, mean', slower(paced, 'mean'), '%', ('<=', 3))]
    return {'rows': rows, 'data': {'fast': fast, 'paced': paced}}


def draw(data, figure):
    tps, latency = figure.subplots(1, 2)
    for axis, runs, column, unit in ((tps, data['fast'], 'tps', 'transactions/s'), (latency, data['paced'], 'p50', 'µs')):
        for x, name in enumerate(('off', 'on')):
            axis.bar([n + 0.4 * x - 0.2 for n in range(len(runs))], [run[name][column] for run in runs], 0.4, label='reco ' + name)
        axis.set(xlabel='pair', ylabel=unit, xticks=range(len(runs)))
        axis.legend()
    tps.set_title('One writer of the catalog, flat out')
    latency.set_title('p50 latency at %d transactions/s' % RATE)
