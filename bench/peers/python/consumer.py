"""A consumer as an application's developer writes it: events in batches to PostgreSQL, lists of the touched users by SQL, then Redis."""
import os
import time

from psycopg2.extras import execute_values

import peer

here = os.path.dirname(os.path.abspath(__file__))

BATCH = 10000
LEAVES_OUT = [
    'lists of users without a new event: neither expiry nor a new popularity reaches them before their next event',
    'changes of the catalog after the start',
    'refused messages are dropped',
    'Redis away, or empty after a restart: what was not written is lost']


def set_up(connection):
    with connection.cursor() as cursor, open(os.path.join(here, 'schema.sql')) as schema:
        cursor.execute(schema.read())
        peer.copy_catalog(cursor, 'product (product_id, category)')
    connection.commit()
    connection.autocommit = True
    connection.cursor().execute('VACUUM ANALYZE product')
    connection.autocommit = False


def store(cursor, rows, offsets):
    """Events, counters and offsets; returns the windows whose counters changed."""
    cursor.execute('TRUNCATE batch')
    peer.copy(cursor, 'batch', rows)
    cursor.execute("""INSERT INTO activity SELECT * FROM batch
        WHERE "timestamp" >= date_bin('1 h', now() - interval '25 h', 'epoch')""")
    cursor.execute("""INSERT INTO trending AS t
        SELECT date_bin('1 h', "timestamp", 'epoch'), product_id, count(*) FROM batch
        WHERE event_type = 'page_view' AND "timestamp" >= date_bin('1 h', now() - interval '25 h', 'epoch') GROUP BY 1, 2
        ON CONFLICT (window_start, product_id) DO UPDATE SET view_count = t.view_count + excluded.view_count
        RETURNING window_start""")
    windows = {start for start, in cursor}
    execute_values(cursor, """INSERT INTO offsets VALUES %s
        ON CONFLICT (partition) DO UPDATE SET next_offset = excluded.next_offset""", list(offsets.items()))
    return windows


def top(cursor, window):
    cursor.execute("""SELECT product_id, view_count FROM (
        SELECT product_id, view_count, rank() OVER (ORDER BY view_count DESC) AS r FROM trending WHERE window_start = %s) t
        WHERE r <= 10""", (window,))
    return dict(cursor.fetchall())


def take_popularity(cursor):
    cursor.execute("""UPDATE product SET popularity = n FROM (
        SELECT product_id, coalesce(sum(view_count), 0) AS n FROM product
        LEFT JOIN (SELECT * FROM trending WHERE window_start > now() - interval '24 h') t USING (product_id) GROUP BY 1) v
        WHERE product.product_id = v.product_id AND popularity <> n""")


def drop_old(cursor):
    """Once in a while; returns the windows that are gone."""
    cursor.execute("DELETE FROM activity WHERE \"timestamp\" < date_bin('1 h', now() - interval '25 h', 'epoch')")
    cursor.execute("DELETE FROM trending WHERE window_start < date_bin('1 h', now() - interval '25 h', 'epoch') RETURNING window_start")
    return {start for start, in cursor}


def main():
    publisher = peer.Publisher()
    database = peer.Database('peer_python')
    with database as connection, connection.cursor() as cursor:
        set_up(connection)
        cursor.execute("SET TIME ZONE 'UTC'")
        connection.commit()
        peer.begin()
        popularity_at = time.monotonic()
        kafka = peer.consumer()
        taken = 0
        while taken < peer.events and peer.elapsed() < peer.limit:
            count, rows, offsets = peer.take(kafka, BATCH, 0.05)
            if time.monotonic() - popularity_at >= peer.popularity_seconds:
                popularity_at = time.monotonic()
                take_popularity(cursor)
                for window in drop_old(cursor):
                    publisher.window(window, {})
            if count == 0:
                connection.commit()
                continue
            windows = store(cursor, rows, offsets)
            cursor.execute('EXECUTE lists (%s::bigint[])', (list({row[1] for row in rows if row[0] == 'page_view'}),))
            lists = cursor.fetchall()
            tops = {window: top(cursor, window) for window in windows}
            connection.commit()
            for user, products in lists:
                publisher.user(user, products)
            for window, counts in tops.items():
                publisher.window(window, counts)
            publisher.send()
            taken += count
            peer.progress('python', taken)
        seconds = peer.elapsed()
        kafka.close()
        peer.report('python', taken, seconds, taken >= peer.events, database, LEAVES_OUT)


main()
