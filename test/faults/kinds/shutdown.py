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
    """The server is restarted in fast mode: nothing may be lost or replayed"""
    kind = 'restart-fast'


class RestartSmart(Restart):
    """The server is restarted in smart mode: reco's workers must not prevent the shutdown"""
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
    """The server is restarted in immediate mode: unlogged tables are emptied"""
    kind = 'restart-immediate'
    mode = 'immediate'
    bound = 25

    def inject(self):
        self.world.crashed()
        super().inject()
