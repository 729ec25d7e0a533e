"""pgbench, with the quantiles of its transactions' latencies and their number in each second."""
import glob
import os
import re
import subprocess
import tempfile

from results import quantile
from shop import Failure

CONNECT = 0.02              # seconds that a client takes to connect


class Run:
    """A run of a script that has begun; its sessions are new."""

    def __init__(self, shop, script, seconds, clients=1, rate=None, variables=(), reconnect=False):
        self.folder = tempfile.TemporaryDirectory(dir=shop.dir)
        with open(self.path('script.sql'), 'w') as file:
            file.write(script)
        # a thread connects one client at a time, within pgbench's time
        command = ['pgbench', '-n', '-M', 'prepared', '-T', str(seconds + int(clients * CONNECT)), '-c', str(clients), '-f', self.path('script.sql'),
                   '-l', '--log-prefix=' + self.path('log'), *(['-R', str(rate)] if rate else []),
                   *(['-C', '-j', str(clients)] if reconnect else [])]
        for name, value in dict(variables).items():
            command += ['-D', '%s=%s' % (name, value)]
        self.process = shop.spawn(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def ended(self):
        return self.process.poll() is not None

    def transactions(self):
        """[(end as seconds of the epoch, latency in microseconds)], by end"""
        fields = [line.split() for name in glob.glob(self.path('log*')) for line in open(name)]
        return sorted((int(line[4]) + int(line[5]) / 1e6, float(line[2])) for line in fields)

    def result(self):
        """Waits for its end; returns tps, latencies (p50, p99, mean) and, from the first transaction's begin on, the transactions of each second.

        None if it has not done two transactions: connecting took all of the time.
        """
        with self.folder:
            words = self.process.communicate()[0]
            if self.process.returncode != 0:
                raise Failure('pgbench: ' + words)
            done = self.transactions()
        if len(done) < 2:
            return None
        latencies = [latency for _, latency in done]
        begin = min(end - latency / 1e6 for end, latency in done)
        seconds = [0] * (int(done[-1][0] - begin) + 1)
        for end, _ in done:
            seconds[int(end - begin)] += 1
        return {'tps': float(re.search(r'tps = ([\d.]+)', words).group(1)),
                'p50': quantile(latencies, 0.5), 'p99': quantile(latencies, 0.99), 'mean': sum(latencies) / len(latencies),
                'begin': begin, 'seconds': seconds, 'tps_after_first': (len(done) - 1) / max(1e-6, done[-1][0] - done[0][0])}


def run(shop, script, seconds, **options):
    """Runs a script; see Run. A machine that is too busy to connect the clients in time gets more of it."""
    for _ in range(5):
        result = Run(shop, script, seconds, **options).result()
        if result:
            return result
        seconds *= 2
    raise Failure('pgbench: no transactions in %d s' % seconds)
