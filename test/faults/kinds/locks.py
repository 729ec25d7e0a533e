"""Somebody else's locks, snapshots and transactions."""
from engine import execute
from fault import Fault


class Session(Fault):
    """A session with an open transaction, ended by heal()."""

    def begin(self, *statements):
        self.session = self.world.connect()
        execute(self.session, "SET lock_timeout = '5s'")
        for statement in statements:
            execute(self.session, statement)

    def heal(self):
        self.session.close()


class LockTable(Session):
    """A session holds an ACCESS EXCLUSIVE lock on one of reco's tables"""
    kind = 'lock-reco-table'
    hold = (1, 5)

    def inject(self):
        self.note = self.pick.choice(['activity', 'state', 'product', 'user_state', 'offsets', 'window_counter',
                                      'window_top', 'product_number', 'rejected'])
        self.begin('BEGIN', f'LOCK TABLE reco.{self.note} IN ACCESS EXCLUSIVE MODE')


class LockReco(Session):
    """A transaction holds reco's own lock until it commits or rolls back"""
    kind = 'lock-reco'
    hold = (1, 5)

    def inject(self):
        self.begin('BEGIN', 'SELECT reco_take_popularity()')

    def heal(self):
        execute(self.session, self.pick.choice(['COMMIT', 'ROLLBACK']))
        super().heal()


class LongSnapshot(Session):
    """A snapshot is held until after the checks"""
    kind = 'long-snapshot'
    hold = (1, 3)

    def inject(self):
        self.begin('BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM reco.user_state')

    def heal(self):
        pass

    def release(self):
        self.session.close()


class OpenTransaction(Session):
    """A transaction that has written stays open while the follow worker restarts, which has to wait for it"""
    kind = 'open-transaction'
    hold = (1, 5)
    bound = 15

    def inject(self):
        self.begin('BEGIN', 'CREATE TABLE public.in_the_way (i int)')
        self.world.sql('SELECT pg_terminate_backend(%s)', (self.world.server.worker('follow'),))

    def heal(self):
        execute(self.session, 'ROLLBACK')
        super().heal()
