"""No room for more sessions; work that is cancelled."""
import psycopg2

from engine import execute
from fault import Fault
from server import WORKERS


class ConnectionsFull(Fault):
    """All connection slots are in use while a worker restarts"""
    kind = 'connections-full'
    hold = (1, 4)
    alone = True

    def inject(self):
        self.sessions = []
        pids = [self.world.server.worker(worker) for worker in WORKERS]
        try:
            while True:
                self.sessions.append(self.world.connect())
        except psycopg2.OperationalError:
            pass
        for pid in self.pick.sample(pids, 2):
            execute(self.sessions[0], 'SELECT pg_terminate_backend(%s)', (pid,))

    def heal(self):
        for session in self.sessions:
            session.close()


class RebuildCancelled(Fault):
    """reco_rebuild() is cancelled, times out, or loses its session"""
    kind = 'rebuild-cancelled'

    def inject(self):
        self.note = self.pick.choice(['timeout', 'rollback', 'done'])
        session = self.world.connect()
        try:
            if self.note == 'timeout':
                execute(session, f'SET statement_timeout = {self.pick.randrange(1, 40)}')
            execute(session, 'BEGIN')
            execute(session, 'SELECT reco_rebuild()')
            execute(session, 'COMMIT' if self.note == 'done' else 'ROLLBACK')
        except psycopg2.errors.QueryCanceled:
            pass
        finally:
            session.close()


class WorkerCancelled(Fault):
    """The workers are cancelled by pg_cancel_backend(), several times"""
    kind = 'cancel-worker'
    bound = 15

    def inject(self):
        for _ in range(self.pick.randrange(1, 6)):
            self.world.sql('SELECT pg_cancel_backend(%s)', (self.world.server.worker(self.pick.choice(WORKERS)),))
