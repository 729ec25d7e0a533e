"""Redis stands still, dies, comes back with less than it held, refuses, or is another's."""
import threading
import time

from engine import query, wait_for
from fault import Fault
from store import STAMP


class FreezeRedis(Fault):
    """Redis gets SIGSTOP, and later SIGCONT"""
    kind = 'stop-redis'
    hold = (1, 6)
    bound = 20

    def inject(self):
        self.world.store.freeze()

    def heal(self):
        self.world.store.thaw()


class KillRedis(Fault):
    """Redis is killed by SIGKILL and comes back with its last dump, or empty"""
    kind = 'kill-redis'
    bound = 20

    def inject(self):
        self.world.store.kill()
        if self.pick.random() < .5:
            self.note = 'nothing is left'
            self.world.store.forget()

    def heal(self):
        self.world.store.start()


class FlushRedis(Fault):
    """Redis gets FLUSHALL"""
    kind = 'redis-flushed'

    def inject(self):
        self.world.store.client().flushall()


class OlderDump(Fault):
    """Redis fails over to a copy that is some seconds older"""
    kind = 'redis-older-dump'
    bound = 20
    hold = (1, 3)

    def inject(self):
        self.world.store.save()

    def heal(self):
        self.world.store.kill()
        self.world.store.restore()
        self.world.store.start()


class OutOfMemory(Fault):
    """Redis refuses writes because of maxmemory"""
    kind = 'redis-oom'
    bound = 20
    hold = (0.5, 4)

    def inject(self):
        self.world.store.client().config_set('maxmemory', 1)

    def heal(self):
        self.world.store.client().config_set('maxmemory', 0)


class ReadOnly(Fault):
    """Redis becomes a replica of a primary that does not answer, and then a primary again"""
    kind = 'redis-readonly'
    bound = 20
    hold = (0.5, 4)

    def inject(self):
        self.world.store.client().slaveof('127.0.0.1', 1)

    def heal(self):
        self.world.store.client().slaveof()


class RequirePass(Fault):
    """For a while, Redis requires a password that reco does not know"""
    kind = 'redis-requirepass'
    bound = 20
    hold = (0.5, 4)

    def inject(self):
        self.world.store.client().config_set('requirepass', 'secret')
        self.world.store.client('secret').execute_command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')

    def heal(self):
        self.world.store.client('secret').config_set('requirepass', '')


class WrongTypes(Fault):
    """The keys of lists and windows and the stamp are replaced by keys of other types"""
    kind = 'redis-wrong-types'

    def inject(self):
        client = self.world.store.client()
        for key in self.pick.sample(sorted(client.scan_iter('*')), 8) + [STAMP]:
            client.delete(key)
            if key.startswith('trending:'):
                client.set(key, 'a string')
            elif self.pick.random() < .5:
                client.rpush(key, 'a', 'list')
            else:
                client.hset(key, 'a', 'hash')


class LeftOver(Fault):
    """Redis loses reco's stamp, and contains keys without a row: a user who is gone, a window that has expired"""
    kind = 'redis-left-over'

    def inject(self):
        client = self.world.store.client()
        client.set('987654321', '{"user_id":987654321,"recommended_products":["p1"]}', ex=90000)
        client.hset('trending:2001-01-01T00:00:00', 'p1', 1)
        client.delete(STAMP)


class SecondPublisher(Fault):
    """Another installation publishes to the same Redis for a while: reco must stop, delete nothing, and take over afterwards"""
    kind = 'redis-second-publisher'
    bound = 15
    alone = True
    hold = (0.5, 4)
    KEY = '987654321'

    def inject(self):
        self.client, self.gone = self.world.store.client(), threading.Event()
        self.thread = threading.Thread(target=self.publish, daemon=True)
        self.thread.start()
        wait_for(self.is_noticed, 10, 'reco to notice another publisher')

    def publish(self):
        while True:
            self.client.set(STAMP, f'1234:1:{time.time_ns() // 1000}:abc:def:{int(time.time())}:other')
            self.client.set(self.KEY, f'{{"user_id":{self.KEY},"recommended_products":["his"]}}', ex=90000)
            if self.gone.wait(1):
                return

    def is_noticed(self):
        return query(self.world.connection(), """SELECT health = 'failing' AND last_error LIKE '%another publisher%"other"%1234%'
            FROM reco_status() WHERE component = 'publish'""")[0][0]

    def heal(self):
        self.gone.set()
        self.thread.join()
        self.left = [] if self.client.exists(self.KEY) and self.is_noticed() else ['reco has not given way']
        wait_for(lambda: not self.is_noticed(), 35, 'reco to take over')  # in traffic: lists live for seconds only

    def problems(self):
        return self.left


class DropConnections(Fault):
    """Redis closes all connections, again and again"""
    kind = 'redis-disconnects'

    def inject(self):
        for _ in range(self.pick.randrange(1, 4)):
            self.world.store.drop_connections()
