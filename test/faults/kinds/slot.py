"""The slot is lost."""
import subprocess

from engine import query, wait_for
from fault import Fault
from server import is_gone


class SlotLost(Fault):
    """More WAL than max_slot_wal_keep_size is written while the follow worker is stopped, so its slot is invalidated"""
    kind = 'slot-lost'
    bound = 20

    def inject(self):
        world = self.world
        self.server, self.log = world.server, world.server.log_end()
        self.pid = wait_for(self.stop, 20, 'the follow worker')
        for _ in range(6):
            query(world.connection(), "SELECT pg_logical_emit_message(false, 'fault', 'x'), pg_switch_wal()")
        # waits for the process that holds the slot
        self.checkpoint = subprocess.Popen(['psql', '-Xqc', 'CHECKPOINT', '-h', world.folder, '-p', str(world.server.port),
                                            '-U', 'postgres', 'postgres'], stdin=subprocess.DEVNULL,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        """Its pid; None where another fault has just ended it."""
        pid = self.world.server.worker('follow')
        return pid if subprocess.run(['kill', '-STOP', str(pid)], stderr=subprocess.DEVNULL).returncode == 0 else None

    def heal(self):
        self.there = not is_gone(self.pid)  # another fault may have ended it, and its slot
        subprocess.run(['kill', '-CONT', str(self.pid)], stderr=subprocess.DEVNULL)
        self.checkpoint.wait(30)

    def problems(self):
        if self.there and f'terminating process {self.pid} to release replication slot' not in self.server.log_since(self.log):
            return ['the slot was not lost']
        return []
