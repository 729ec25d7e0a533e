"""A plain consumer, and the article's materialized views refreshed in a loop; what a refresh changed goes to Redis."""
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, '..', 'python'))
import peer  # noqa: E402

BATCH = 10000
# between two refreshes events are taken for at most so many seconds: all the while lists stay as they are
TAKE_SECONDS = 2
LEAVES_OUT = [
    'popularity: lists are in the order of product_id',
    'changes of the catalog after the start',
    'refused messages are dropped; a crash takes messages twice',
    'events are never deleted',
    'Redis away, or empty after a restart: what was not written is lost']


class OutOfTime(Exception):
    pass


def set_up(connection):
    with connection.cursor() as cursor, open(os.path.join(here, 'schema.sql')) as schema:
        cursor.execute(schema.read())
        peer.copy_catalog(cursor, 'products (product_id, category)')
        cursor.execute('ANALYZE products')
        cursor.execute("SET TIME ZONE 'UTC'")
    connection.commit()


def consume(kafka, connection, taken):
    """Take what Kafka has; returns how many messages were taken in all."""
    end = min(peer.elapsed() + TAKE_SECONDS, peer.limit)
    with connection.cursor() as cursor:
        while taken < peer.events and peer.elapsed() < end:
            count, rows, _ = peer.take(kafka, BATCH, 0.05)
            if count == 0:
                break
            peer.copy(cursor, 'user_activity', rows)
            connection.commit()
            taken += count
            peer.progress('refresh', taken)
        cursor.execute('ANALYZE user_activity')
    connection.commit()
    return taken


def refresh(cursor):
    for view in 'trending_products', 'user_recommendations':
        left = peer.limit - peer.elapsed()
        if left <= 0:
            raise OutOfTime
        if left != float('inf'):
            cursor.execute('SET statement_timeout = %s', (int(left * 1000) + 1,))
        cursor.execute(f'REFRESH MATERIALIZED VIEW CONCURRENTLY {view}')
    cursor.execute('RESET statement_timeout')


def publish_users(connection, publisher):
    with connection.cursor() as cursor:
        cursor.execute("""CREATE TEMPORARY TABLE difference ON COMMIT DROP AS
            SELECT user_id, n.recommended_products FROM user_recommendations n
            FULL JOIN published_users p USING (user_id)
            WHERE n.recommended_products IS DISTINCT FROM p.recommended_products""")
        with connection.cursor('difference') as rows:
            rows.itersize = 10000
            rows.execute('SELECT user_id, recommended_products FROM difference')
            for user, products in rows:
                publisher.user(user, products)
        publisher.send()
        cursor.execute("""INSERT INTO published_users SELECT * FROM difference WHERE recommended_products IS NOT NULL
            ON CONFLICT (user_id) DO UPDATE SET recommended_products = excluded.recommended_products""")
        cursor.execute("""DELETE FROM published_users USING difference d
            WHERE published_users.user_id = d.user_id AND d.recommended_products IS NULL""")
    connection.commit()


def publish_windows(connection, publisher):
    with connection.cursor() as cursor:
        cursor.execute("""SELECT DISTINCT window_start FROM trending_products n
            FULL JOIN published_windows p USING (window_start, product_id) WHERE n.view_count IS DISTINCT FROM p.view_count""")
        for window, in cursor.fetchall():
            cursor.execute('SELECT product_id, view_count FROM trending_products WHERE window_start = %s', (window,))
            publisher.window(window, dict(cursor.fetchall()))
        cursor.execute('TRUNCATE published_windows; INSERT INTO published_windows SELECT * FROM trending_products')
    connection.commit()


def run(connection, publisher, state):
    """state: events that Redis shows, whether that is all of them, and how many refreshes that took."""
    kafka = peer.consumer()
    taken = 0
    while not state['finished']:
        taken = consume(kafka, connection, taken)
        with connection.cursor() as cursor:
            refresh(cursor)
        connection.commit()
        publish_users(connection, publisher)
        publish_windows(connection, publisher)
        state.update(events=taken, finished=taken >= peer.events, refreshes=state['refreshes'] + 1)
    kafka.close()


def main():
    publisher = peer.Publisher()
    database = peer.Database('peer_refresh')
    state = {'events': 0, 'finished': False, 'refreshes': 0}
    with database as connection:
        set_up(connection)
        peer.begin()
        try:
            run(connection, publisher, state)
        except (OutOfTime, peer.psycopg2.errors.QueryCanceled):
            connection.rollback()
        seconds = peer.elapsed()
        peer.report('refresh', state['events'], seconds, state['finished'], database, LEAVES_OUT, refreshes=state['refreshes'])


main()
