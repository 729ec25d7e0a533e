"""The machine and its processes: facts, processor time, private memory."""
import os
import platform
import subprocess
import threading
import time

TICKS = os.sysconf('SC_CLK_TCK')


def first_line(command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout.strip().split('\n')[0]
    except OSError:
        return 'not found'


def field(path, name):
    with open(path) as lines:
        for line in lines:
            if line.startswith(name):
                return line.split(':', 1)[1].strip()
    return ''


def revision():
    """The code that is measured."""
    return first_line(['git', '-C', os.path.dirname(os.path.abspath(__file__)), 'describe', '--always', '--dirty', '--abbrev=10'])


def date():
    return time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())


def facts():
    memory = int(field('/proc/meminfo', 'MemTotal').split()[0])
    return {
        'date': date(),
        'processors': '%d × %s' % (os.cpu_count(), field('/proc/cpuinfo', 'model name') or platform.machine()),
        'memory': '%.1f GB' % (memory / 2**20),
        'kernel': platform.release(),
        'Redis': first_line(['redis-server', '--version']).split(' sha')[0],
        'Java': first_line(['java', '-version']),
    }


def load_average():
    return os.getloadavg()[0]


def cpu_seconds(pid, children=False):
    """Processor time of a process so far; with that of its children which have ended. 0 if it is gone."""
    try:
        with open('/proc/%d/stat' % pid) as stat:
            fields = stat.read().rsplit(')', 1)[1].split()
    except OSError:
        return 0
    return sum(int(f) for f in fields[11:15 if children else 13]) / TICKS


def busy_seconds():
    """What all processors have worked so far, and what the host has kept from them."""
    with open('/proc/stat') as stat:
        user, nice, system, _, _, irq, softirq, steal = [int(word) / TICKS for word in stat.readline().split()[1:9]]
    return user + nice + system + irq + softirq, steal


def private_mb(pid):
    try:
        return int((field('/proc/%d/status' % pid, 'RssAnon') or '0').split()[0]) / 1024
    except OSError:
        return 0


def shared_mb(pid):
    try:
        return int((field('/proc/%d/status' % pid, 'RssShmem') or '0').split()[0]) / 1024
    except OSError:
        return 0


def command_line(pid):
    try:
        with open('/proc/%d/cmdline' % pid, 'rb') as line:
            return line.read().replace(b'\0', b' ').decode('utf-8', 'replace').strip()
    except OSError:
        return ''


def pid_in(path):
    try:
        with open(path) as lines:
            return int(lines.readline())
    except (OSError, ValueError):
        return None


def postgres_children(postmaster):
    try:
        with open('/proc/%d/task/%d/children' % (postmaster, postmaster)) as line:
            return [int(pid) for pid in line.read().split()]
    except OSError:
        return []


class Processes:
    """The processes of one set of services, by name."""

    def __init__(self, folder):
        self.folder = folder
        self.others = {}        # name -> pid of what the benchmark runs beside them

    def pids(self):
        """{name: [pid]}; the postmaster and all children without a name of their own are 'other postgres'."""
        named = {}
        for name in ('redis', 'kafka'):
            pid = pid_in('%s/%s.pid' % (self.folder, name))
            if pid:
                named[name] = [pid]
        postmaster = pid_in(self.folder + '/data/postmaster.pid')
        if postmaster:
            named['other postgres'] = [postmaster]
            for pid in postgres_children(postmaster):
                title = command_line(pid)
                worker = next((w for w in ('ingest', 'follow', 'publish') if title.startswith('postgres: reco ' + w)), 'other postgres')
                named.setdefault(worker, []).append(pid)
        for name, pid in list(self.others.items()):
            named[name] = [pid]
        return named

    def cpu(self):
        """{name: {pid: seconds}}"""
        postmaster = pid_in(self.folder + '/data/postmaster.pid')
        return {name: {pid: cpu_seconds(pid, pid == postmaster) for pid in pids} for name, pids in self.pids().items()}

    def memory(self):
        """{name: MB of private memory}, and the shared memory that PostgreSQL has touched."""
        pids = self.pids()
        used = {name: sum(private_mb(pid) for pid in each) for name, each in pids.items()}
        used['postgres shared'] = max([shared_mb(pid) for name in ('ingest', 'other postgres') for pid in pids.get(name, [])] or [0])
        return used


def cpu_between(before, after):
    """{name: seconds}; a process that is new since then counts from its start."""
    spent = {}
    for name, pids in after.items():
        earlier = before.get(name, {})
        spent[name] = max(0, sum(seconds - earlier.get(pid, 0) for pid, seconds in pids.items()))
    return spent


class Sampler:
    """Calls a function every so often in a thread of its own and keeps what it returns: [(second, value)]."""

    def __init__(self, every, function):
        self.samples = []
        self.every, self.function = every, function
        self.begin = time.monotonic()
        self.ended = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                self.samples.append((round(time.monotonic() - self.begin, 3), self.function()))
            except Exception as failure:    # kept, and told by stop(): a figure without its samples must not look whole
                self.failure = self.failure or failure
            if self.ended.wait(self.every):
                return

    def stop(self):
        self.ended.set()
        self.thread.join()
        if self.failure is not None:
            raise RuntimeError('sampling failed: %s' % self.failure)
        return self.samples
