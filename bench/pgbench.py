"""pgbench, with the quantiles of its transactions' latencies."""
import glob
import os
import re
import subprocess
import tempfile

from results import quantile
from shop import Failure


def run(shop, script, seconds, clients=1, rate=None, variables=()):
    """Runs a script; returns tps and latencies in microseconds: p50, p99, mean."""
    with tempfile.TemporaryDirectory(dir=shop.dir) as folder:
        with open(os.path.join(folder, 'script.sql'), 'w') as file:
            file.write(script)
        command = ['pgbench', '-n', '-M', 'prepared', '-T', str(seconds), '-c', str(clients), '-f', os.path.join(folder, 'script.sql'),
                   '-l', '--log-prefix=' + os.path.join(folder, 'log'), *(['-R', str(rate)] if rate else [])]
        for name, value in dict(variables).items():
            command += ['-D', '%s=%s' % (name, value)]
        process = shop.spawn(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        words = process.communicate()[0]
        if process.returncode != 0:
            raise Failure('pgbench: ' + words)
        latencies = [float(line.split()[2]) for name in glob.glob(os.path.join(folder, 'log*')) for line in open(name)]
    tps = float(re.search(r'tps = ([\d.]+)', words).group(1))
    return {'tps': tps, 'p50': quantile(latencies, 0.5), 'p99': quantile(latencies, 0.99), 'mean': sum(latencies) / len(latencies)}
