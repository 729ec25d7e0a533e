"""Catalogs of several sizes: mirrored, all products moved, reloaded by TRUNCATE and COPY; without users and with users whom it concerns."""
import tempfile
import time

from results import row
from shop import wait_for

USERS = 1 / 5               # users for each product,
VIEWS = 5                   # and what each has viewed: each product has one view
LIMIT = 3600
CONCERNED = {False: 'no users', True: 'users concerned'}
PHASES = ('mirrored', 'all moved', 'reloaded')
ACTIVITY = """INSERT INTO reco.activity (event_type, user_id, product_id)
SELECT 'page_view', n / %s + 1, 'product_' || n FROM generate_series(0, %s - 1) n"""
MOVE = "UPDATE products SET category = 'category_' || (substr(category, 10)::integer + 1) %% %s"
DIFFERENT = 'SELECT count(*) FROM reco.product m FULL JOIN products p USING (product_id) WHERE m.category IS DISTINCT FROM p.category'


def mirrored(shop):
    """Waits until the mirror has all that is committed."""
    wait_for(lambda: (shop.status()['follow']['state'] or '').startswith('following'), LIMIT, 'the catalog to be followed', 0.02)
    wait_for(lambda: shop.value('SELECT reco_follow_wait(%s)', (LIMIT * 1000,)), LIMIT, 'the mirror')


def settled(shop):
    """Waits until all lists are right, in Redis as well."""
    wait_for(lambda: shop.status()['publish']['state'] == 'publishing' and shop.published() and shop.swept(), LIMIT, 'the lists', 0.05)


def new_catalog(shop, products, users):
    """A new extension without workers, users who have viewed, and products that it does not know yet."""
    shop.enable(False)
    shop.rows('DROP EXTENSION reco')
    shop.rows('TRUNCATE products')
    shop.rows('CREATE EXTENSION reco')
    if users:
        shop.rows(ACTIVITY, (VIEWS, users * VIEWS))
    shop.set_products(products)
    shop.fill_catalog()
    shop.rows('CHECKPOINT')


def start(shop):
    """The worker begins with a comparison."""
    shop.enable(True, wait=False)
    wait_for(lambda: shop.status()['follow']['pid'], 60, 'the follow worker', 0.002)


def move(shop):
    shop.rows(MOVE, (shop.categories,))


def reload(shop):
    """The same rows again, in one transaction, as a nightly job does it."""
    with tempfile.TemporaryFile(dir=shop.dir) as file, shop.connection.cursor() as cursor:
        cursor.copy_expert('COPY products TO STDOUT', file)
        file.seek(0)
        cursor.execute('BEGIN; TRUNCATE products')
        cursor.copy_expert('COPY products FROM STDIN', file)
        cursor.execute('COMMIT')


def timed(bench, shop, what, change):
    """What the change itself takes, and from its end on the mirror and the lists."""
    begin = time.monotonic()
    change(shop)
    done = time.monotonic()
    mirrored(shop)
    mirror = time.monotonic()
    settled(shop)
    lists = time.monotonic()
    different = shop.value(DIFFERENT)
    bench.tell('%s: %.1f s; mirror %.1f s, lists %.1f s' % (what, done - begin, mirror - done, lists - done))
    return {'change': done - begin, 'mirror': mirror - done, 'lists': lists - done, 'different': different}


def point(bench, shop, products, concerned):
    """One size, in all phases."""
    users = int(products * USERS) if concerned else 0
    found = {'products': products, 'concerned': concerned, 'users': users}
    new_catalog(shop, products, users)
    for phase, change in zip(PHASES, (start, move, reload)):
        found[phase] = timed(bench, shop, '%d products %s, %s' % (products, phase, CONCERNED[concerned]), change)
        if phase == 'all moved':
            shop.rows('VACUUM products')
    found['differ'] = len(shop.rows('SELECT * FROM reco_verify(0.01)')) + sum(found[phase]['different'] for phase in PHASES)
    return found


def rows_of(points, phase):
    first, rows = points[0], []
    for each in points:
        what = '%d products %s, %s' % (each['products'], phase, CONCERNED[each['concerned']])
        rows.append(row(what, each['products'] / each[phase]['mirror'], 'products/s', ('>=', 50000),
                        '%.1f s; lists and Redis after %.1f s' % (each[phase]['mirror'], each[phase]['lists'])))
        if each is not first:
            times = each['products'] / first['products']
            rows.append(row('its time to that of %d' % first['products'], each[phase]['mirror'] / first[phase]['mirror'], '×', ('<=', 1.3 * times),
                            '%.3g times the products' % times))
    return rows


def measure(bench):
    sizes = [int(size) for size in bench.options.catalogs.split(',')]
    # a popularity would have all lists computed again in one of the phases
    with bench.new_shop(products=sizes[0], reco__popularity_interval='1h') as shop:
        points = [point(bench, shop, size, concerned) for size in sizes for concerned in CONCERNED]
    rows = []
    for concerned in CONCERNED:
        for phase in PHASES:
            rows += rows_of([each for each in points if each['concerned'] == concerned], phase)
    rows.append(row('rows that differ (reco_verify, 1 %, and the mirror)', max(each['differ'] for each in points), 'rows', ('<=', 0)))
    return {'rows': rows, 'data': {'points': points}}


def draw(data, figure):
    for axis, concerned in zip(figure.subplots(1, 2, sharey=True), CONCERNED):
        points = [each for each in data['points'] if each['concerned'] == concerned]
        for phase in PHASES:
            axis.plot([each['products'] for each in points], [each[phase]['mirror'] for each in points], 'o-', label=phase)
        axis.set(title='Time to the mirror, ' + CONCERNED[concerned], xlabel='products', ylabel='s', xscale='log', yscale='log')
        axis.legend()
