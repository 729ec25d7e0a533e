"""What the tables hold, over time."""
from results import row

TABLES = ('user_state', 'window_counter', 'window_top', 'product', 'product_number', 'free_number', 'offsets', 'rejected')
LARGE = 0.05        # of the total: a table that the limit is for
SIZES = """SELECT c.relname, pg_total_relation_size(c.oid) / 1048576.0::float8
FROM pg_class c WHERE c.relnamespace = 'reco'::regnamespace AND c.relname = ANY (%s)
UNION ALL
SELECT 'activity', coalesce(sum(pg_total_relation_size(inhrelid)), 0) / 1048576.0::float8
FROM pg_inherits WHERE inhparent = 'reco.activity'::regclass"""


def sizes(shop, connection):
    """{table: MB}; a partition that is dropped at this moment is not worth a failure."""
    found = {name: float(size) for name, size in shop.rows(SIZES, (list(TABLES),), connection)}
    found['total'] = sum(found.values())
    lag = shop.status(connection)
    found['lag'] = lag['ingest']['lag_messages'] or 0
    return found


def mean(samples, name, begin, end):
    """The mean of a table's size between two moments, in seconds."""
    values = [sample[name] for at, sample in samples if begin <= at <= end] or [samples[-1][1][name]]
    return sum(values) / len(values)


def growth_rows(samples, since, until, what, limit):
    """How much each table that matters has grown between two stretches of time, in per cent; the limit is for the large ones and the total."""
    stretch = (until - since) / 6
    total = mean(samples, 'total', since, since + stretch)
    rows = []
    for name in ('total', 'user_state', 'activity', 'window_counter', 'product_number'):
        first, last = mean(samples, name, since, since + stretch), mean(samples, name, until - stretch, until)
        grown = 100 * (last / first - 1) if first else 0
        rows.append(row('%s: growth %s' % (name, what), grown, '%', ('<=', limit) if first >= LARGE * total else None, '%.0f → %.0f MB' % (first, last)))
    return rows


def draw_sizes(samples, axis, title, marks=()):
    minutes = [at / 60 for at, _ in samples]
    for name in ('total', 'user_state', 'activity', 'window_counter', 'product_number', 'window_top'):
        axis.plot(minutes, [sample[name] for _, sample in samples], label=name)
    for second, text in marks:
        axis.axvline(second / 60, color='gray', linewidth=0.7)
        axis.annotate(text, (second / 60, 0), rotation=90, fontsize=8, color='gray', va='bottom')
    axis.set(title=title, xlabel='minutes', ylabel='MB', ylim=(0, None))
    axis.legend(fontsize=8)
