"""Processes of PostgreSQL that die or stand still."""
import os
import signal

from engine import wait_for
from fault import Fault
from server import WORKERS


class KillPostmaster(Fault):
    """The postmaster alone is killed by SIGKILL; its child processes must notice"""
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
    """A worker is killed by SIGKILL: the server restarts all processes, and unlogged tables are emptied"""
    kind = 'kill-worker'
    bound = 25
    last = True

    def inject(self):
        worker = self.note = self.pick.choice(WORKERS)
        pid = self.world.server.worker(worker)
        self.world.crashed()
        self.world.server.kill(pid)


class KillBackend(Fault):
    """The backend that changes the catalog is killed by SIGKILL"""
    kind = 'kill-backend'
    bound = 25
    last = True

    def inject(self):
        pid = wait_for(self.world.catalog.backend, 10, 'a session of the catalog')
        self.world.crashed()
        self.world.server.kill(pid)


class EndWorker(Fault):
    """One or more workers are terminated by pg_terminate_backend(), several times"""
    kind = 'end-worker'

    def inject(self):
        for _ in range(self.pick.randrange(1, 3)):
            worker = self.pick.choice(WORKERS)
            self.note += worker + ' '
            self.world.sql('SELECT pg_terminate_backend(%s)', (self.world.server.worker(worker),), dbname='postgres')


class StopWorker(Fault):
    """A worker gets SIGSTOP, and later SIGCONT"""
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
    """The launcher is terminated; it must come back, and not start the workers twice"""
    kind = 'end-launcher'

    def inject(self):
        self.world.sql('SELECT pg_terminate_backend(%s)', (self.world.server.worker('launcher'),), dbname='postgres')
