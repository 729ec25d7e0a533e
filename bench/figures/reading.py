"""reco_for_user under pgbench, beside a bare primary-key SELECT of a row of the same width, in turns."""
import pgbench
from results import row

PAIRS = 5
RECO = '\\set user random(1, :users)\nSELECT * FROM reco_for_user(:user);\n'
BARE = '\\set user random(1, :users)\nSELECT user_id, list FROM bench_lists WHERE user_id = :user;\n'


def pairs(bench, shop, what):
    runs = []
    for n in range(PAIRS):
        pair = {}
        for name, script in ((('reco', RECO), ('bare', BARE)) if n % 2 == 0 else (('bare', BARE), ('reco', RECO))):
            pair[name] = pgbench.run(shop, script, bench.options.seconds, variables={'users': shop.users})
        runs.append(pair)
        bench.tell('reading, %s, %d of %d: %.0f µs, bare %.0f µs' % (what, n + 1, PAIRS, pair['reco']['p50'], pair['bare']['p50']))
    return runs


def rows_of(runs, what, reach):
    return [row('reco_for_user, p50, %s' % what, [run['reco']['p50'] for run in runs], 'µs'),
            row('bare SELECT, p50, %s' % what, [run['bare']['p50'] for run in runs], 'µs'),
            row('ratio of p50, %s' % what, [run['reco']['p50'] / run['bare']['p50'] for run in runs], '×', reach),
            row('ratio of means, %s' % what, [run['reco']['mean'] / run['bare']['mean'] for run in runs], '×'),
            row('reco_for_user, p99, %s' % what, [run['reco']['p99'] for run in runs], 'µs'),
            row('bare SELECT, p99, %s' % what, [run['bare']['p99'] for run in runs], 'µs')]


def measure(bench):
    shop, rate = bench.shop(), bench.half_rate()
    shop.rows('CREATE TABLE bench_lists AS SELECT user_id, recommended_products AS list FROM reco.user_recommendations')
    shop.rows('ALTER TABLE bench_lists ADD PRIMARY KEY (user_id)')
    shop.rows('VACUUM ANALYZE bench_lists')
    shop.settle()
    idle = pairs(bench, shop, 'idle')
    load = shop.steady(rate, 2 * PAIRS * (bench.options.seconds + 10))
    loaded = pairs(bench, shop, 'at %.0f events/s' % rate)
    shop.end(load)
    shop.settle()
    shop.rows('DROP TABLE bench_lists')
    return {'rows': rows_of(idle, 'idle', ('<=', 2)) + rows_of(loaded, 'at half load', ('<=', 2)), 'data': {'idle': idle, 'loaded': loaded}}


def draw(data, figure):
    axes = figure.subplots(1, 2)
    for axis, (name, what) in zip(axes, (('idle', 'idle'), ('loaded', 'at half load'))):
        for column, style in (('p50', 'o'), ('mean', 's'), ('p99', '^')):
            for x, which in enumerate(('bare', 'reco')):
                axis.plot([x + 0.1 * (n - 2) / 2 for n in range(len(data[name]))], [run[which][column] for run in data[name]], style,
                          color={'bare': 'gray', 'reco': 'C0'}[which], label=column if which == 'reco' else None)
        axis.set(title='Read one list, %s' % what, ylabel='µs', xticks=[0, 1], xticklabels=['bare SELECT', 'reco_for_user'], ylim=(0, None))
        axis.legend()
