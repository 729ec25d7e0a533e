"""The Redis server of the shop: its process and its dump."""
import os
import shutil
import signal

import redis

from engine import wait_for

STAMP = 'reco:stamp'


class Store:
    def __init__(self, services):
        self.services = services
        self.port = int(os.environ['REDIS_PORT'])
        self.dump = os.path.join(services.dir, 'redis', 'dump.rdb')

    def client(self, password=None):
        return redis.Redis(port=self.port, password=password, decode_responses=True, socket_timeout=20)

    def start(self):
        self.services.up('redis')

    def kill(self):
        self.services.down('redis', kill=True)

    def signal(self, number):
        with open(os.path.join(self.services.dir, 'redis.pid')) as file:
            os.kill(int(file.readline()), number)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def save(self):
        """A copy of what it holds now."""
        client = self.client()

        def saved():
            try:
                return client.save()
            except redis.ResponseError:  # a save in the background is on its way
                return False
        wait_for(saved, 20, 'Redis to save')
        shutil.copy(self.dump, self.dump + '.older')

    def restore(self):
        """Comes back with the copy; it must be down."""
        os.replace(self.dump + '.older', self.dump)

    def forget(self):
        """Comes back with nothing; it must be down."""
        if os.path.exists(self.dump):
            os.unlink(self.dump)

    def drop_connections(self):
        self.client().execute_command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
