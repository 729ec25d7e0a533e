"""One PostgreSQL server of the shop, started and stopped in every way that there is.

`Services` has made it; from then on this module runs pg_ctl itself, so that a fault costs a second and no build."""
import glob
import os
import re
import signal
import struct
import subprocess
import time

from engine import HERE, wait_for

WORKERS = ('ingest', 'follow', 'publish')
STEPPED_CLOCK = os.path.join(HERE, 'lib', 'stepped_clock.c')


def as_postgres(*command, **options):
    """Runs a command as the server's user; its output is shown when it fails."""
    if os.getuid() == 0:
        command = ('runuser', '-u', 'postgres', '--', *command)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f'{" ".join(command)}: {done.stdout}')
    return done.stdout


def is_gone(pid):
    """A zombie has left, too: not every container has an init that reaps."""
    try:
        with open(f'/proc/{pid}/stat') as stat:
            return stat.read().rpartition(')')[2].split()[0] in 'ZX'
    except (FileNotFoundError, ProcessLookupError):
        return True


class Server:
    def __init__(self, folder, data, port, log='postgres.log'):
        self.data, self.port = data, port
        self.log = os.path.join(folder, log)
        self.killed = set()  # processes that a fault sent SIGKILL
        self.crashes = False  # has a fault made the server restart its processes?
        self.clock_file = os.path.join(folder, 'clock')

    # Start and stop

    def start(self, faked_clock=False, wait=True):
        """faked_clock: the processes add to the time of day what stands in clock_file (test/lib/stepped_clock.c)."""
        environment = []
        if faked_clock:
            subprocess.run(['cc', '-shared', '-fPIC', '-o', self.clock_file + '.so', STEPPED_CLOCK], check=True)
            environment = ['env', f'LD_PRELOAD={self.clock_file}.so', f'STEPPED_CLOCK={self.clock_file}']
        # pg_ctl's child must not keep the pipe of as_postgres open
        as_postgres(*environment, 'pg_ctl', '-D', self.data, '-l', self.log, '-o', f'-p {self.port}',
                    '-w' if wait else '-W', '-t', '60', 'start')

    def stop(self, mode='fast'):
        as_postgres('pg_ctl', '-D', self.data, '-m', mode, '-w', '-t', '60', 'stop')

    def end(self):
        """Whatever its state is, nothing of it runs any more."""
        try:
            pid, children = self.postmaster(), self.children()
        except (FileNotFoundError, ProcessLookupError):
            return
        for process in [pid, *children]:
            if not is_gone(process):
                os.kill(process, signal.SIGKILL)
        wait_for(lambda: all(map(is_gone, [pid, *children])), 20, 'the server to end')

    def step_clock(self, seconds):
        """The wall clock of a server that was started with faked_clock jumps; all processes see it at once."""
        with open(self.clock_file, 'r+b' if os.path.exists(self.clock_file) else 'wb', buffering=0) as file:
            file.write(struct.pack('q', seconds))

    # Processes

    def postmaster(self):
        with open(os.path.join(self.data, 'postmaster.pid')) as file:
            return int(file.readline())

    def children(self):
        """{pid: title} of the postmaster's processes."""
        pid, found = self.postmaster(), {}
        with open(f'/proc/{pid}/task/{pid}/children') as children:
            for child in children.read().split():
                try:
                    with open(f'/proc/{child}/cmdline', 'rb') as title:
                        found[int(child)] = title.read().replace(b'\0', b' ').decode(errors='replace').strip()
                except FileNotFoundError:
                    pass
        return found

    def worker(self, name):
        """The pid of a worker, waited for: it may be between two starts."""
        def find():
            return next((pid for pid, title in self.children().items() if f'reco {name}' in title), None)
        return wait_for(find, 20, f'a process of reco {name}')

    def kill(self, pid, number=signal.SIGKILL):
        self.killed.add(pid)
        os.kill(pid, number)

    def memory(self):
        """{worker: MB of its own}."""
        found = {}
        for pid, title in self.children().items():
            name = next((worker for worker in WORKERS if f'reco {worker}' in title), None)
            if name:
                with open(f'/proc/{pid}/status') as status:
                    found[name] = sum(int(line.split()[1]) for line in status if line.startswith('RssAnon:')) / 1024
        return found

    def kill_postmaster(self):
        """SIGKILL to the postmaster alone: its processes must find that out by themselves."""
        children = self.children()
        self.kill(self.postmaster())
        return children

    def wait_without_postmaster(self, children, seconds):
        """Returns the processes that have not left in time, and ends those."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not all(map(is_gone, children)):
            time.sleep(0.02)
        left = {pid: title for pid, title in children.items() if not is_gone(pid)}
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: all(map(is_gone, children)), 10, 'processes without a postmaster to leave')
        os.unlink(os.path.join(self.data, 'postmaster.pid'))
        for name in glob.glob(os.path.join(os.path.dirname(self.data), f'.s.PGSQL.{self.port}*')):
            os.unlink(name)  # a zombie may have the pid in it
        return left

    # The log

    def log_end(self):
        return os.path.getsize(self.log)

    def log_since(self, position):
        with open(self.log, errors='replace') as log:
            log.seek(position)
            return log.read()

    def alarms(self, position):
        """Lines of the log that no fault may cause: a PANIC, a failed assertion, a crash, an internal error."""
        found = []
        for line in self.log_since(position).splitlines():
            crash = re.search(r'\(PID (\d+)\) was terminated by signal (\d+)', line)
            if crash and crash[2] == '9' and (self.crashes or int(crash[1]) in self.killed):
                continue
            if crash or re.search(r' PANIC:  |TRAP: |stuck spinlock| XX\d\d\d (ERROR|FATAL|PANIC|WARNING):', line):
                found.append(line)
        return found
