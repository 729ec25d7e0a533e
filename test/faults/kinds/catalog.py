"""The catalog is emptied, gone, locked, or another table."""
from catalog import fill
from engine import execute
from fault import Fault
from kinds.locks import Session


class Truncated(Fault):
    """The catalog is truncated, and all products are inserted again"""
    kind = 'catalog-truncated'

    def inject(self):
        self.world.sql('TRUNCATE public.products')

    def heal(self):
        session = self.world.connect()
        fill(session)
        session.close()


class Renamed(Fault):
    """The catalog is renamed, and renamed back"""
    kind = 'catalog-renamed'
    bound = 15

    def inject(self):
        self.world.sql('ALTER TABLE public.products RENAME TO elsewhere')

    def heal(self):
        self.world.sql('ALTER TABLE public.elsewhere RENAME TO products')


class Replaced(Fault):
    """Another table takes over the catalog's name, as in a nightly load"""
    kind = 'catalog-replaced'
    bound = 15

    def inject(self):
        session = self.world.connect()
        execute(session, """BEGIN;
            CREATE TABLE public.fresh (LIKE public.products INCLUDING ALL);
            INSERT INTO public.fresh SELECT product_id, coalesce(category, 'fresh') FROM public.products;
            DROP TABLE public.products;
            ALTER TABLE public.fresh RENAME TO products;
            COMMIT""")
        session.close()


class ColumnChanged(Fault):
    """The category column changes its type, is renamed and renamed back, or is dropped and added again"""
    kind = 'catalog-altered'
    bound = 15

    def inject(self):
        statements = self.pick.choice([
            ['ALTER TABLE public.products ALTER category TYPE varchar(200)', 'ALTER TABLE public.products ALTER category TYPE text'],
            ['ALTER TABLE public.products RENAME category TO away', 'ALTER TABLE public.products RENAME away TO category'],
            ['ALTER TABLE public.products DROP category', 'ALTER TABLE public.products ADD category text DEFAULT \'anew\''],
            ['ALTER TABLE public.products ADD extra int DEFAULT 7', 'ALTER TABLE public.products DROP extra'],
            ['ALTER TABLE public.products REPLICA IDENTITY NOTHING', 'ALTER TABLE public.products REPLICA IDENTITY DEFAULT']])
        self.note, self.back = statements
        self.world.sql(self.note)

    def heal(self):
        self.world.sql(self.back)


class LockCatalog(Session):
    """A session holds an ACCESS EXCLUSIVE lock on the catalog"""
    kind = 'lock-catalog'
    hold = (1, 5)

    def inject(self):
        self.begin('BEGIN', 'LOCK TABLE public.products IN ACCESS EXCLUSIVE MODE')


class Prepared(Session):
    """A prepared transaction has changed the catalog, and is committed later"""
    kind = 'prepared-transaction'
    hold = (1, 4)

    def inject(self):
        self.begin('BEGIN', f"UPDATE public.products SET category = 'prepared' WHERE product_id = 'p{self.pick.randrange(20)}'",
                   "PREPARE TRANSACTION 'fault'")

    def heal(self):
        self.world.sql(self.pick.choice(['COMMIT', 'ROLLBACK']) + " PREPARED 'fault'")
        super().heal()
