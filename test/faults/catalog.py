"""Somebody who changes the catalog all the time, in a session of his own."""
import random
import threading
import time

import psycopg2

from engine import execute
from producer import PRODUCTS

CATEGORIES = ('boots', 'shoes', 'shoes/running', 'hats', 'maps', 'été', '', None)


class Catalog(threading.Thread):
    def __init__(self, connect, seed):
        super().__init__(daemon=True)
        self.connect = connect
        self.connection = None
        self.pick = random.Random(seed)
        self.running, self.idle, self.ended = threading.Event(), threading.Event(), False

    def run(self):
        while not self.ended:
            if not self.running.is_set():
                self.close()
                self.idle.set()
                self.running.wait(0.05)
                continue
            try:
                if self.connection is None:
                    self.connection = self.connect()
                self.change()
                time.sleep(0.03)
            except psycopg2.Error:
                self.close()
                time.sleep(0.1)

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def backend(self):
        """The pid of his session, None where he has none."""
        try:
            return self.connection.get_backend_pid()
        except (AttributeError, psycopg2.Error):
            return None

    def change(self):
        pick, connection = self.pick, self.connection
        products = [f'p{pick.randrange(PRODUCTS)}' for _ in range(pick.choice([1, 1, 1, 2, 10]))]
        category = pick.choice(CATEGORIES)
        way = pick.random()
        if way < .5:
            execute(connection, 'UPDATE public.products SET category = %s WHERE product_id = ANY (%s)', (category, products))
        elif way < .7:
            execute(connection, """INSERT INTO public.products SELECT DISTINCT p, %s FROM unnest(%s) p
                ON CONFLICT (product_id) DO UPDATE SET category = excluded.category""", (category, products))
        elif way < .8:
            execute(connection, 'DELETE FROM public.products WHERE product_id = ANY (%s)', (products,))
        elif way < .9:  # a transaction that ends either way
            execute(connection, 'BEGIN')
            execute(connection, 'UPDATE public.products SET category = %s WHERE product_id = ANY (%s)', (category, products))
            execute(connection, 'SAVEPOINT a')
            execute(connection, 'DELETE FROM public.products WHERE product_id = ANY (%s)', (products,))
            execute(connection, pick.choice(['ROLLBACK TO a', 'RELEASE a']))
            execute(connection, pick.choice(['COMMIT', 'COMMIT', 'ROLLBACK']))
        elif way < .95:  # a product gets another name
            execute(connection, """UPDATE public.products SET product_id = %s WHERE product_id = %s
                AND NOT EXISTS (SELECT FROM public.products WHERE product_id = %s)""",
                    (products[0] + 'x', products[0], products[0] + 'x'))
        else:
            fill(connection)

    def pause(self, seconds=15):
        self.idle.clear()
        self.running.clear()
        if not self.idle.wait(seconds):
            raise TimeoutError(f'a change of the catalog has not ended in {seconds} s')

    def go_on(self):
        self.running.set()


def fill(connection):
    """All products that are missing come back."""
    execute(connection, """INSERT INTO public.products
        SELECT 'p' || n, (%s::text[])[1 + n %% 6] FROM generate_series(0, %s) n
        ON CONFLICT DO NOTHING""", (list(CATEGORIES[:6]), PRODUCTS - 1))
