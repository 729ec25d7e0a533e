"""The server is stopped and started, in each mode that there is."""
from fault import Fault


class Restart(Fault):
    alone = True
    bound = 20
    mode = 'fast'

    def inject(self):
        self.world.server.stop(self.mode)

    def heal(self):
        self.world.server.start()


class RestartFast(Restart):
    """pg_ctl stop -m fast, and a start: nothing is lost, nothing replayed"""
    kind = 'restart-fast'


class RestartSmart(Restart):
    """pg_ctl stop -m smart, and a start: reco's workers do not keep the server from stopping"""
    kind = 'restart-smart'
    mode = 'smart'

    def inject(self):
        self.world.catalog.pause()
        self.world.close()
        self.world.server.stop(self.mode)

    def heal(self):
        super().heal()
        self.world.catalog.go_on()


class RestartImmediate(Restart):
    """pg_ctl stop -m immediate, and a start: unlogged tables are empty"""
    kind = 'restart-immediate'
    mode = 'immediate'
    bound = 25

    def inject(self):
        self.world.crashed()
        super().inject()
