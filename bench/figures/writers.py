"""Writers of the catalog: small transactions with reco on and off, in turns."""
import pgbench
from results import row

PAIRS = 12                  # many and short, for a disk's fsync varies more than what is looked for
RATES = {'prices': 200, 'categories': 20}           # transactions a second of the paced runs
PRICE = """\\set product random(0, :products - 1)
\\set price random(1, 10000)
UPDATE products SET price = :price WHERE product_id = 'product_' || :product;
"""
MOVE = """\\set product random(0, :products - 1)
\\set category random(0, :categories - 1)
UPDATE products SET category = 'category_' || :category WHERE product_id = 'product_' || :product;
"""
SCRIPTS = {'prices': PRICE, 'categories': MOVE}     # what shops write all day, and what changes lists


def run(bench, shop, script, on, rate):
    shop.enable(on)
    if on:
        shop.settle()
        shop.rows('SELECT reco_follow_wait(600000)')
    shop.rows('CHECKPOINT')
    before = shop.counters()
    result = pgbench.run(shop, script, max(1, bench.options.seconds // 2), rate=rate, variables={'products': shop.products, 'categories': shop.categories})
    if on:
        shop.rows('SELECT reco_follow_wait(600000)')
    after = shop.counters()
    return result | {'lists': after['ingest.lists'] - before['ingest.lists'], 'changes': after['follow.catalog'] - before['follow.catalog']}


def pairs(bench, shop, name, rate):
    runs = []
    for n in range(PAIRS):
        pair = {}
        for on in ((True, False) if n % 2 == 0 else (False, True)):
            pair['on' if on else 'off'] = run(bench, shop, SCRIPTS[name], on, rate)
        runs.append(pair)
        bench.tell('writers of %s %s, %d of %d: on %.0f tps, %.0f µs; off %.0f tps, %.0f µs' % (
            name, 'paced' if rate else 'flat out', n + 1, PAIRS, pair['on']['tps'], pair['on']['p50'], pair['off']['tps'], pair['off']['p50']))
    return runs


def slower(runs, column):
    """By how many per cent the writers are slower with reco on."""
    if column == 'tps':
        return [(run['off']['tps'] / run['on']['tps'] - 1) * 100 for run in runs]
    return [(run['on'][column] / run['off'][column] - 1) * 100 for run in runs]


def lists(runs):
    """Lists written for each product that moved; prices move none."""
    return [run['on']['lists'] / run['on']['changes'] for run in runs if run['on']['changes']]


def rows_of(name, fast, paced):
    rows = [row('%s: one writer flat out, reco on' % name, [run['on']['tps'] for run in fast], 'tps'),
            row('the same, reco off', [run['off']['tps'] for run in fast], 'tps'),
            row('slower by', slower(fast, 'tps'), '%', ('<=', 3)),
            row('%s: %d transactions/s, p50, reco on' % (name, RATES[name]), [run['on']['p50'] for run in paced], 'µs'),
            row('the same, reco off', [run['off']['p50'] for run in paced], 'µs'),
            row('slower by', slower(paced, 'p50'), '%', ('<=', 3)),
            row('slower by, mean', slower(paced, 'mean'), '%', ('<=', 3))]
    for runs, which in ((fast, 'flat out'), (paced, 'at %d/s' % RATES[name])):
        if lists(runs):
            rows.append(row('lists written for each product that moved, ' + which, lists(runs), 'lists'))
    return rows


def measure(bench):
    shop = bench.shop()
    shop.settle()
    shop.rows("ALTER TABLE products SET (fillfactor = 80)")
    data, rows = {}, []
    for name in SCRIPTS:
        data[name] = {'fast': pairs(bench, shop, name, None), 'paced': pairs(bench, shop, name, RATES[name])}
        rows += rows_of(name, **data[name])
    shop.enable(True)
    shop.settle()
    return {'rows': rows, 'data': data}


def draw(data, figure):
    panes = figure.subplots(len(data), 2, squeeze=False)
    for line, (name, runs) in zip(panes, data.items()):
        for axis, turns, column, unit in ((line[0], runs['fast'], 'tps', 'transactions/s'), (line[1], runs['paced'], 'p50', 'µs')):
            for x, state in enumerate(('off', 'on')):
                axis.bar([n + 0.4 * x - 0.2 for n in range(len(turns))], [run[state][column] for run in turns], 0.4, label='reco ' + state)
            axis.set(xlabel='pair', ylabel=unit, xticks=range(len(turns)))
            axis.legend()
        line[0].set_title('One writer of %s, flat out' % name)
        line[1].set_title('p50 latency at %d transactions/s' % RATES[name])
