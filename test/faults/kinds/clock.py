"""The host's clock is set; the monotonic clock goes on."""
from engine import wait_for
from fault import Fault


class ClockStep(Fault):
    """The server's clock steps forward or backward by some seconds, and back again"""
    kind = 'clock-step'
    bound = 25
    alone = True
    hold = (2, 5)

    def inject(self):
        world = self.world
        # not back by more than max_future, or ahead by more than the retention: the producer keeps its clock
        step = self.pick.choice([-1, 1, 3, 8, 15])
        self.note = f'{step:+d} s'
        world.server.step_clock(0)
        world.server.stop()
        world.server.start(faked_clock=True)
        world.pause()
        problems = world.await_right(20)
        world.go_on()
        if problems:
            raise TimeoutError(f'with a stepped clock: {problems}')
        world.server.step_clock(step)
        if step > 0:  # that the workers see it, too
            wait_for(lambda: world.sql("SELECT clock > clock_timestamp() - interval '2 s' FROM reco.state")[0][0], 10, 'the step')

    def heal(self):
        self.world.server.step_clock(0)

    def release(self):
        self.world.server.stop()
        self.world.server.start()
