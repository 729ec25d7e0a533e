"""The kinds of faults; importing this package makes all of them known."""
from kinds import (catalog, clock, disk, kafka, locks, processes, redis, sessions, settings, shutdown, slot,  # noqa: F401
                   standby)
