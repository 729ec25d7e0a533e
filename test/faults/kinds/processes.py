"""Processes of PostgreSQL that die or stand still."""
import os
import signal

from engine import wait_for
from fault import Fault
from server import WORKERS


class KillPostmaster(Fault):
    """kill -9 of the postmaster alone: its processes notice by themselves"""
    kind = 'kill-postmaster'
    bound = 25
    alone = True

    def inject(self):
        self.children = self.world.server.kill_postmaster()
        self.world.crashed()

    def heal(self):
        left = self.world.server.wait_without_postmaster(self.children, 10)
        self.left = [f'{title} ran on without its postmaster' for title in left.values() if 'reco' in title]
        self.world.server.start()

    def problems(self):
        return self.left


class KillWorker(Fault):
    """kill -9 of a worker: the server restarts all of its processes, unlogged tables are empty"""
    kind = 'kill-worker'
    bound = 25
    last = True

    def inject(self):
        worker = self.note = self.pick.choice(WORKERS)
        pid = self.world.server.worker(worker)
        self.world.crashed()
        self.world.server.kill(pid)


class KillBackend(Fault):
    """kill -9 of the session that changes the catalog"""
    kind = 'kill-backend'
    bound = 25
    last = True

    def inject(self):
        pid = wait_for(self.world.catalog.backend, 10, 'a session of the catalog')
        self.world.crashed()
        self.world.server.kill(pid)


class EndWorker(Fault):
    """pg_terminate_backend() of one or more workers, some times"""
    kind = 'end-worker'

    def inject(self):
        for _ in range(self.pick.randrange(1, 3)):
            worker = self.pick.choice(WORKERS)
            self.note += worker + ' '
            self.world.sql('SELECT pg_terminate_backend(%s)', (self.world.server.worker(worker),), dbname='postgres')


class StopWorker(Fault):
    """SIGSTOP of a worker, later SIGCONT"""
    kind = 'stop-worker'
    hold = (1, 4)

    def inject(self):
        self.note = self.pick.choice(WORKERS)
        self.pid = self.world.server.worker(self.note)
        os.kill(self.pid, signal.SIGSTOP)

    def heal(self):
        try:
            os.kill(self.pid, signal.SIGCONT)
        except ProcessLookupError:  # another fault has ended it
            pass


class KillLauncher(Fault):
    """pg_terminate_backend() of the launcher: it comes back, and the workers are not started twice"""
    kind = 'end-launcher'

    def inject(self):
        self.world.sql('SELECT pg_terminate_backend(%s)', (self.world.server.worker('launcher'),), dbname='postgres')
