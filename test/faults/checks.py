"""The checks after each fault. Each function returns lines that say what is wrong."""
from engine import query, redis_differences
from producer import USERS
from server import WORKERS

MEMORY = 150  # MB of its own that a worker may have: its shop is tiny


def workers(connection):
    """Every worker says that all is well."""
    rows = query(connection, 'SELECT component, health, state, last_error FROM reco_status() WHERE component = ANY (%s)',
                 (list(WORKERS),))
    found = [f'{component} is {health}: {state} (last error: {error})' for component, health, state, error in rows
             if health != 'ok']
    return found if len(rows) == len(WORKERS) else [f'reco_status() shows {len(rows)} workers']


def events(connection, producer):
    """Events held are events sent, each once, in one snapshot with the horizon."""
    rows = query(connection, """SELECT ceil(extract(epoch FROM s.horizon) * 1000)::bigint, a.query, count(*)
        FROM reco.state s LEFT JOIN reco.activity a ON a."timestamp" >= s.horizon GROUP BY s.horizon, a.query""")
    if not rows:
        return ['reco.state is empty']
    must, may = producer.expected(rows[0][0])
    held = {int(number): count for _, number, count in rows if number is not None}

    def some(what, numbers):
        if not numbers:
            return []
        return [f'{len(numbers)} events {what}: ' + ', '.join(producer.describe(n) for n in sorted(numbers)[:8])]
    return (some(f'of {len(must)} are missing', must - held.keys()) +
            some('are held that nobody sent', held.keys() - must - may) +
            some(f'are held twice or more', {number for number, count in held.items() if count > 1}))


def lists(connection):
    """The derived state is what activity and catalog say, and all of it belongs to the newest generation."""
    older, = query(connection, 'SELECT count(*) FROM reco.user_state u, reco.state s WHERE u.generation < s.generation')[0]
    found = [f'{older} lists of an older generation'] if older else []
    return found + [f'reco_verify(): {row}' for row in query(connection, 'SELECT * FROM reco_verify()')]


def redis(connection, client):
    """Redis holds what the tables say and no other key, by reco's own word and by a look of ours."""
    found = [f'reco_redis_verify(): {row}' for row in query(connection, 'SELECT * FROM reco_redis_verify()')]
    return found or [f'redis: {line}' for line in redis_differences(connection, client)]


def memory(server):
    return [f'reco {worker} has {size:.0f} MB' for worker, size in server.memory().items() if size > MEMORY]


def shop_is_alive(connection):
    """The checks above would be content with nothing."""
    users, = query(connection, 'SELECT count(*) FROM reco.user_recommendations')[0]
    return [] if users > USERS / 4 else [f'only {users} users have a list']


def problems(world):
    """All that is wrong now."""
    connection = world.connection()
    for check in (lambda: workers(connection), lambda: events(connection, world.producer), lambda: lists(connection),
                  lambda: redis(connection, world.store.client()), lambda: shop_is_alive(connection),
                  lambda: memory(world.server)):
        found = check()
        if found:  # the rest follows from it, or takes a while
            return found
    return []
