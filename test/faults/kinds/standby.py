"""Failover: a standby is promoted, and the old primary is gone, or is not."""
import os
import random
import shutil
import socket

import checks
from engine import wait_for
from fault import Fault
from server import Server, as_postgres


def free_port():
    """Below the range from which the kernel takes ports for outgoing connections."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(('127.0.0.1', port)) != 0:
                return port


class Promoted(Fault):
    """A standby is promoted under load; the old server is stopped"""
    kind = 'standby-promoted'
    bound = 30
    alone = True
    zombie = False

    def inject(self):
        world = self.world
        self.old = world.server
        self.data = os.path.join(world.folder, 'standby')
        self.space = os.path.join(world.disk, 'space') if world.disk else None
        mapping = ['-T', f'{self.space}={self.space}2'] if self.space else []
        if os.getuid() == 0:
            shutil.chown(world.folder, 'postgres')
        as_postgres('pg_basebackup', '-h', world.folder, '-p', str(self.old.port), '-U', 'postgres', '-D', self.data,
                    '-R', '-c', 'fast', '-X', 'stream', '--no-sync', *mapping)
        self.new = Server(world.folder, self.data, free_port())
        world.servers.append(self.new)
        self.new.start()

    def heal(self):
        world = self.world
        world.catalog.pause()
        world.close()
        wait_for(self.streams, 20, 'the standby')
        if not self.zombie:
            self.old.stop()
        world.crashed()
        world.server = self.new
        as_postgres('pg_ctl', '-D', self.data, '-w', '-t', '60', 'promote')
        world.catalog.go_on()

    def streams(self):
        return self.world.sql('SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_flush_lsn()',
                              dbname='postgres')[0][0] == 1

    def release(self):
        """The new server takes the old one's place on the disk."""
        world = self.world
        self.stop_zombie()
        world.catalog.pause()
        world.close()
        self.new.stop()
        shutil.rmtree(self.old.data)
        os.rename(self.data, self.old.data)
        if self.space:
            shutil.rmtree(self.space)
            os.rename(self.space + '2', self.space)
            links = os.path.join(self.old.data, 'pg_tblspc')
            for name in os.listdir(links):
                os.unlink(os.path.join(links, name))
                os.symlink(self.space, os.path.join(links, name))
        world.server = self.old
        world.server.start()
        # in another folder it is a copy, which takes over when the stamp of the one that is gone has grown old
        world.go_on()
        wait_for(lambda: not checks.workers(world.connection()), 60, 'the moved server')

    def stop_zombie(self):
        pass


class Zombie(Promoted):
    """A standby is promoted while the old server keeps running, whose publisher must stop by itself"""
    kind = 'standby-promoted-zombie'
    zombie = True

    def problems(self):
        world, found = self.world, []
        world.server = self.old
        try:
            for state, error in world.sql("SELECT state, last_error FROM reco_status() WHERE component = 'publish'"):
                if 'newer timeline' not in (error or ''):
                    found = [f'the old server\'s publisher says: {state} ({error})']
        finally:
            world.server = self.new
        return found

    def stop_zombie(self):
        self.old.stop()
