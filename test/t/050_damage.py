#!/usr/bin/python3 -B
"""Broken on purpose, with all workers running: each verify function names the damage, and what mends it leaves none."""
import os
import sys

import redis

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from engine import Services, Tap, execute, query, wait_for  # noqa: E402


def main():
    tap = Tap()
    services = Services('redis', 'kafka')
    services.run('kafka', 'topic', 'user_activity', '1')
    services.up('postgres', reco__catalog_table='public.products', reco__popularity_interval='1h')
    connection = services.connect()
    client = redis.Redis(port=int(os.environ['REDIS_PORT']), decode_responses=True)
    execute(connection, """
        CREATE TABLE public.products (product_id text PRIMARY KEY, category text);
        INSERT INTO public.products VALUES ('a', 'x'), ('b', 'x'), ('c', 'y'), ('d', 'y'), ('e', NULL);
        CREATE EXTENSION reco;""")
    wait_for(lambda: query(connection, 'SELECT count(*) = 5 FROM reco.product')[0][0], 30, 'the mirror')
    execute(connection, """INSERT INTO reco.activity
        SELECT 'page_view', u, p, NULL, now() FROM (VALUES (1, 'a'), (2, 'a'), (2, 'c'), (3, 'd')) v (u, p)""")
    window, = query(connection, """SELECT to_char(window_start, '"trending:"YYYY-MM-DD"T"HH24:MI:SS') FROM reco.trending_products""")[0]

    def verify():
        return sorted(query(connection, 'SELECT relation, key FROM reco_verify()'))

    def verify_redis():
        return sorted(key for key, in query(connection, 'SELECT key FROM reco_redis_verify()'))

    def broken(name, damage, expected, mend='SELECT reco_rebuild()'):
        wait_for(lambda: query(connection, """SELECT NOT EXISTS (SELECT FROM reco.user_state u, reco.state s
            WHERE u.generation < s.generation)""")[0][0], 30, 'the sweep, which would mend lists')
        execute(connection, damage)
        found = verify()
        tap.ok([(relation, key.split()[-1]) for relation, key in found] == expected, f'reco_verify() names {name}',
               [f'expected {expected}', f'found {found}'])
        execute(connection, mend)
        found = query(connection, 'SELECT * FROM reco_verify()')
        tap.ok(not found, f'{name}: mended by {mend.split(chr(10))[0]}', found)

    tap.ok(verify() == [], 'reco_verify() finds nothing where nothing is wrong', verify())
    broken('a counter', """UPDATE reco.window_counter w SET counts = set_byte(counts, at, 9)
        FROM (SELECT number / 128 AS bucket, number % 128 AS at FROM reco.product_number WHERE product_id = 'c') n
        WHERE w.bucket = n.bucket AND get_byte(counts, at) > 0""", [('window_count', 'c')])
    broken('a trending product', """UPDATE reco.window_top SET (numbers, view_counts) =
        (SELECT array_agg(number), array_agg(view_count) FROM unnest(numbers, view_counts) AS t(number, view_count)
         JOIN reco.product_number USING (number) WHERE product_id <> 'a')""", [('trending_products', 'a')])
    broken('a list', "UPDATE reco.user_state SET list = (SELECT ARRAY[number] FROM reco.product_number WHERE product_id = 'd') WHERE user_id = 1", [('user_recommendations', '1')])
    broken('a user lost', 'DELETE FROM reco.user_state WHERE user_id = 3',
           [('user_recommendations', '3'), ('user_views', query(connection, """
               SELECT split_part(viewed_at::text, ' ', 2) FROM reco.user_views WHERE user_id = 3""")[0][0])])
    broken('a row of the mirror', """BEGIN; ALTER TABLE reco.product DISABLE TRIGGER USER;
        UPDATE reco.product SET category = 'elsewhere' WHERE product_id = 'e';
        ALTER TABLE reco.product ENABLE ALWAYS TRIGGER product_update; ALTER TABLE reco.product ENABLE ALWAYS TRIGGER product_insert;
        ALTER TABLE reco.product ENABLE ALWAYS TRIGGER product_delete; ALTER TABLE reco.product ENABLE ALWAYS TRIGGER product_truncate;
        COMMIT""", [('product', 'e')], "UPDATE reco.product SET category = NULL WHERE product_id = 'e'")
    broken('a product that the catalog does not hold', "INSERT INTO reco.product VALUES ('ghost', 'far off')", [('product', 'ghost')],
           "DELETE FROM reco.product WHERE product_id = 'ghost'")
    broken('a product that the mirror lost', "DELETE FROM reco.product WHERE product_id = 'e'", [('product', 'e')],
           "INSERT INTO reco.product VALUES ('e')")

    wait_for(lambda: verify_redis() == [], 30, 'Redis to equal the tables')
    lists = {key: client.get(key) for key in ('1', '2', '3')}
    tap.ok(None not in lists.values(), 'Redis holds the lists', [lists])

    def broken_in_redis(name, damage, expected, mend):
        damage()
        found = verify_redis()
        tap.ok(found == [expected], f'reco_redis_verify() names {name}', [f'expected {expected}', f'found {found}'])
        mend()
        tap.ok(verify_redis() == [], f'{name}: mended', verify_redis())

    def restore(key):
        client.set(key, lists[key], ex=27 * 3600)

    broken_in_redis('a wrong list', lambda: client.set('1', '{"user_id":1,"recommended_products":["d"]}', ex=90000), '1',
                    lambda: restore('1'))
    broken_in_redis('a lost list', lambda: client.delete('2'), '2', lambda: restore('2'))
    broken_in_redis('a list without an end', lambda: client.persist('3'), '3', lambda: restore('3'))
    broken_in_redis('a list that no row stands for', lambda: client.set('77', '{"user_id":77,"recommended_products":["a"]}', ex=90000),
                    '77', lambda: client.delete('77'))
    broken_in_redis('a wrong count', lambda: client.hset(window, 'a', 17), window, lambda: client.hset(window, 'a', 2))
    broken_in_redis('a product too many', lambda: client.hset(window, 'zzz', 1), window, lambda: client.hdel(window, 'zzz'))
    broken_in_redis('a window that is over', lambda: client.hset('trending:2001-01-01T00:00:00', 'a', 1),
                    'trending:2001-01-01T00:00:00', lambda: client.delete('trending:2001-01-01T00:00:00'))
    tap.done()


if __name__ == '__main__':
    main()
