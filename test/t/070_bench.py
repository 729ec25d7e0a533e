#!/usr/bin/python3 -B
"""bench/run measures: the figures that have services of their own, on a small scale. How fast anything is does not matter here."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from engine import ENVIRONMENT, HERE, Tap  # noqa: E402

RUN = os.path.join(HERE, '..', 'bench', 'run')
SIZES = (500, 1000)
PHASES = ('mirrored', 'all moved', 'reloaded')
EXPECTED = {
    'sessions': ['first INSERT of a session', 'private memory of a session after it', 'one warm session']
    + [f"{n} new session{'s' if n > 1 else ''}, {when}" for n in (1, 32, 100) for when in ('first second', 'whole run', 'plain table')]
    + ['a connection a request, 32 clients', '32 clients, a view and 10 ms of work', '32 clients, a purchase and 10 ms of work',
       'drain alone, to the tables', 'drain beside 32 clients with 10 ms of work', 'drain beside 32 new sessions',
       'drain beside a connection a request'],
    'catalog': [f'{size} products {phase}, {who}' for size in SIZES for phase in PHASES for who in ('no users', 'users concerned')],
}


def bench(*args):
    done = subprocess.run([RUN, *args], env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout.splitlines()


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as out:
        status, words = bench('--quick', '--shared-buffers', '128MB', '--catalogs', ','.join(map(str, SIZES)), '--out', out, '--record', os.path.join(out, 'RESULTS.md'), *EXPECTED)
        if not tap.ok(status == 0, 'bench/run measures', words[-40:]):
            tap.done()
        with open(os.path.join(out, 'results.json')) as file:
            figures = json.load(file)['figures']
        with open(os.path.join(out, 'table.md')) as file:
            table = file.read()
        for name, expected in EXPECTED.items():
            values = {row['what']: row['value'] for row in figures[name]['rows']}
            missing = [what for what in expected if what not in values]
            tap.ok(not missing, f'{name}: every row is there', missing)
            unwritten = [what for what in values if f'| {name} | {what} |' not in table]
            tap.ok(not unwritten, f'{name}: and in the table', unwritten)
            differ = [value for what, value in values.items() if what.startswith('rows that differ')]
            tap.ok(differ == [0], f'{name}: afterwards the state is right', [f'rows that differ: {differ}'])
            tap.ok(os.path.getsize(os.path.join(out, name + '.svg')) > 0, f'{name}: it is drawn')
        with open(os.path.join(out, 'RESULTS.md')) as file:
            sections = [line[3:].rstrip() for line in file if line.startswith('## ')]
        tap.ok(sorted(sections) == sorted(EXPECTED), 'a section each is recorded', sections)
    status, words = bench('nothing')
    tap.ok(status == 2 and 'no such figure: nothing' in words[-1], 'an unknown figure is refused', words)
    tap.done()


if __name__ == '__main__':
    main()
