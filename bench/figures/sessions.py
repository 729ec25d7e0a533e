"""Sessions that write activity themselves: new ones, one a request, and transactions with other work; each beside a plain table, and Kafka beside them."""
import math
import random
import statistics
import time

import pgbench
from figures.drain import backlog
from machine import private_mb
from results import row
from shop import wait_for

NEW = (1, 32, 100)          # sessions that begin at once
CLIENTS = 32
FIRST = 20                  # sessions whose first INSERT is timed
WORK = 10                   # ms between an event and the order
START = 2                   # seconds for the workers to start beside clients
RECO, PLAIN = 'reco.activity', 'bench_activity'
INSERT = "INSERT INTO %s (event_type, user_id, product_id) VALUES ('%s', :user, 'product_' || :product);\n"
DRAW = '\\set user random(1, :users)\n\\set product random(0, :products - 1)\n'
# a user for each category: the session then has seen all of them
ALL = "INSERT INTO %s (event_type, user_id, product_id) SELECT 'page_view', n + 1, 'product_' || n FROM generate_series(0, %s - 1) n"


def view(table):
    return DRAW + INSERT % (table, 'page_view')


def warm_view(table, categories):
    """The session's first transaction makes it warm."""
    return '\\if :warm\n%s\\else\n%s;\n\\set warm 1\n\\endif\n' % (view(table), ALL % (table, categories))


def with_work(table, kind):
    return (DRAW + 'BEGIN;\n' + INSERT % (table, kind) + '\\sleep %d ms\n' % WORK +
            "INSERT INTO bench_orders (user_id, product_id) VALUES (:user, 'product_' || :product);\nCOMMIT;\n")


def variables(shop):
    return {'users': shop.users, 'products': shop.products, 'warm': 0}


def bench_tables(shop):
    shop.rows('CREATE UNLOGGED TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)' % (PLAIN, RECO))
    shop.rows('CREATE TABLE bench_orders (id bigserial PRIMARY KEY, user_id bigint, product_id text, at timestamptz DEFAULT now())')


# One session

def timed(shop, connection, sql):
    begin = time.monotonic()
    shop.rows(sql, connection=connection)
    return (time.monotonic() - begin) * 1000


def memory(shop, connection):
    return {'process': private_mb(connection.info.backend_pid),
            'contexts': float(shop.value('SELECT sum(total_bytes) FROM pg_backend_memory_contexts', connection=connection)) / 2**20}


def new_session(shop, table):
    """A session's first INSERT and its memory then and when it has seen every category."""
    connection = shop.connect()
    found = {'first': timed(shop, connection, "INSERT INTO %s (event_type, user_id, product_id) VALUES ('page_view', %d, 'product_%d')"
                            % (table, random.randint(1, shop.users), random.randrange(shop.products))),
             'memory': memory(shop, connection),
             'warming': timed(shop, connection, ALL % (table, shop.categories)), 'memory_warm': memory(shop, connection)}
    connection.close()
    return found


def first_inserts(bench, shop):
    found = {'reco': [], 'plain': []}
    for _ in range(FIRST):
        for name, table in (('reco', RECO), ('plain', PLAIN)):
            found[name].append(new_session(shop, table))
    bench.tell('first INSERT: %s ms' % ', '.join('%.1f' % each['first'] for each in found['reco']))
    return found


def rows_of_first(found):
    reco, plain = found['reco'], found['plain']
    warm = [each['memory_warm']['process'] for each in reco]
    return [row('first INSERT of a session', [each['first'] for each in reco], 'ms', ('<=', 5)),
            row('the same into a plain table', [each['first'] for each in plain], 'ms'),
            row('private memory of a session after it', [each['memory']['process'] for each in reco], 'MB', ('<=', 10)),
            row('the same when it has seen every category', warm, 'MB', ('<=', 10)),
            row('its memory contexts then', [each['memory_warm']['contexts'] for each in reco], 'MB'),
            row('private memory of a session that fills a plain table', [each['memory_warm']['process'] for each in plain], 'MB'),
            row("an INSERT into every category, the session's second statement", [each['warming'] for each in reco], 'ms')]


# Sessions alone

def warm_session(bench, shop, warming):
    """The rate of one session that has seen every category."""
    result = pgbench.run(shop, warm_view(RECO, shop.categories), math.ceil(2 * warming / 1000) + bench.options.seconds, variables=variables(shop))
    bench.tell('one warm session: %.0f events/s' % result['tps_after_first'])
    return result['tps_after_first']


def beside_plain(bench, shop, what, script, **options):
    """The same script, of a table's name, on reco and on a plain table."""
    pair = {name: pgbench.run(shop, script(table), bench.options.seconds, variables=variables(shop), **options)
            for name, table in (('reco', RECO), ('plain', PLAIN))}
    bench.tell('%s: reco %.0f, plain %.0f a second' % (what, pair['reco']['tps'], pair['plain']['tps']))
    return pair


def rows_of_new(sessions, pair, warm):
    reco, what = pair['reco'], '%d new session%s' % (sessions, '' if sessions == 1 else 's')
    reach = ('>=', 0.5) if sessions > 1 else None
    return [row(what + ', first second', reco['seconds'][0], 'events/s'),
            row('to the warm session', reco['seconds'][0] / warm, '×', reach),
            row(what + ', whole run', reco['tps'], 'events/s'),
            row('to the warm session', reco['tps'] / warm, '×', reach),
            row(what + ', plain table', pair['plain']['tps'], 'events/s'),
            row('reco to the plain table', reco['tps'] / pair['plain']['tps'], '×')]


def rows_of_pair(what, pair, reach):
    return [row(what, pair['reco']['tps'], 'tps', None, 'p50 %.3g ms' % (pair['reco']['p50'] / 1000)),
            row('the same, plain table', pair['plain']['tps'], 'tps', None, 'p50 %.3g ms' % (pair['plain']['p50'] / 1000)),
            row('reco to the plain table', pair['reco']['tps'] / pair['plain']['tps'], '×', reach)]


# Kafka beside them

def messages(shop):
    return shop.counters()['ingest.messages']


def backlog_size(bench):
    return max(1, bench.options.events // 2)


def between(run, begin, end):
    """Transactions a second of a run, from one moment to another."""
    first, last = max(0, int(begin - run['begin'])), max(1, math.ceil(end - run['begin']))
    counted = run['seconds'][first:last] or [0]
    return sum(counted) / len(counted)


def drain(bench, shop, what, script=None, **options):
    """The rate at which ingestion takes a backlog, from the first batch on, for as long as the clients are at work; 0 if none comes."""
    events = backlog_size(bench)
    backlog(shop, events)
    before, clients = messages(shop), None
    if script:
        clients = pgbench.Run(shop, script, START + bench.options.seconds, variables=variables(shop), **options)
    shop.enable(True, wait=False)
    wait_for(lambda: messages(shop) > before or clients and clients.ended(), 600, 'ingestion to begin', 0.005)
    begin, first = time.time(), messages(shop)
    wait_for(lambda: messages(shop) >= before + events or clients and clients.ended(), 600, 'the backlog to be taken', 0.01)
    end, last = time.time(), messages(shop)
    found = {'rate': (last - first) / (end - begin) if first > before else 0}
    if clients:
        result = clients.result()
        found['clients'] = between(result, begin if first > before else 0, end) if result else 0
    wait_for(lambda: messages(shop) >= before + events, 600, 'the rest of the backlog to be taken', 0.1)
    shop.settle()
    bench.tell('drain %s: %.0f events/s' % (what, found['rate']))
    return found


def drains(bench, shop):
    """Alone before and after the others."""
    alone = [drain(bench, shop, 'alone')]
    found = {name: drain(bench, shop, name, script, clients=CLIENTS, **options) for name, script, options in (
        ('beside %d clients with %d ms of work' % (CLIENTS, WORK), with_work(RECO, 'page_view'), {}),
        ('beside the same, plain table', with_work(PLAIN, 'page_view'), {}),
        ('beside %d new sessions' % CLIENTS, view(RECO), {}),
        ('beside a connection a request', view(RECO), {'reconnect': True}))}
    alone.append(drain(bench, shop, 'alone'))
    return {'alone': alone, 'beside': found}


def rows_of_drains(found):
    alone = [each['rate'] for each in found['alone']]
    base = statistics.median(alone)
    rows = [row('drain alone, to the tables', alone, 'events/s')]
    for n, (name, each) in enumerate(found['beside'].items()):
        rows += [row('drain ' + name, each['rate'], 'events/s', None, 'clients: %.0f tps' % each['clients']),
                 row('to the drain alone', each['rate'] / base if base else 0, '×', ('>=', 0.5) if n == 0 else None)]
    return rows


def measure(bench):
    # a popularity would fall into one of the short runs
    with bench.new_shop(max_connections=200, reco__popularity_interval='1h') as shop:
        bench_tables(shop)
        shop.prefill(backlog_size(bench))
        first = first_inserts(bench, shop)
        warm = warm_session(bench, shop, max(each['warming'] for each in first['reco']))
        new = {n: beside_plain(bench, shop, '%d new sessions' % n, view, clients=n) for n in NEW}
        pairs = {'a connection a request, %d clients' % CLIENTS:
                 beside_plain(bench, shop, 'a connection a request', view, clients=CLIENTS, reconnect=True)}
        for kind, name in (('page_view', 'view'), ('purchase', 'purchase')):
            what = '%d clients, a %s and %d ms of work' % (CLIENTS, name, WORK)
            pairs[what] = beside_plain(bench, shop, what, lambda table, kind=kind: with_work(table, kind), clients=CLIENTS)
        shop.settle()
        kafka = drains(bench, shop)
        differ = len(shop.rows('SELECT * FROM reco_verify(0.01)'))
    rows = rows_of_first(first) + [row('one warm session', warm, 'events/s')]
    for n, pair in new.items():
        rows += rows_of_new(n, pair, warm)
    for what, pair in pairs.items():
        rows += rows_of_pair(what, pair, ('>=', 0.5))
    rows += rows_of_drains(kafka) + [row('rows that differ (reco_verify, 1 %)', differ, 'rows', ('<=', 0))]
    return {'rows': rows, 'data': {'first': first, 'warm': warm, 'new': new, 'pairs': pairs, 'kafka': kafka}}


def draw(data, figure):
    new, ratios = figure.subplots(1, 2)
    for n, pair in data['new'].items():
        new.plot(pair['reco']['seconds'][:-1] or pair['reco']['seconds'], label='%s new' % n)
    new.axhline(data['warm'], color='gray', linewidth=0.7, label='one warm')
    new.set(title='New sessions that insert single views', xlabel='second', ylabel='events/s', ylim=(0, None))
    new.legend()
    alone = statistics.median(each['rate'] for each in data['kafka']['alone'])
    bars = [(what, pair['reco']['tps'] / pair['plain']['tps']) for what, pair in data['pairs'].items()] + \
           [('drain ' + what, each['rate'] / alone if alone else 0) for what, each in data['kafka']['beside'].items()]
    ratios.barh([what for what, _ in reversed(bars)], [value for _, value in reversed(bars)])
    ratios.axvline(1, color='gray', linewidth=0.7)
    ratios.set(title='To a plain table, or to the drain alone', xlabel='×')
    ratios.tick_params(axis='y', labelsize=7)
