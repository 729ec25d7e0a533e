"""The disk of the database is full."""
import os

from fault import Fault


class DiskFull(Fault):
    """The database's tablespace is full for a while"""
    kind = 'disk-full'
    bound = 30
    hold = (2, 6)
    last = True

    def inject(self):
        self.path = os.path.join(self.world.disk, 'filler')
        room = os.statvfs(self.world.disk)
        left = self.pick.choice([0, 0, 16384, 262144])
        self.note = f'{left} bytes are left'
        with open(self.path, 'wb') as file:
            try:
                os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - left)
            except OSError:
                pass

    def heal(self):
        os.unlink(self.path)
