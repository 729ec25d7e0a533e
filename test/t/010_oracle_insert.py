#!/usr/bin/python3 -B
"""Random workloads by INSERT and COPY, the workers off: after each step the oracle in SQL finds nothing, and the reference in
Python finds the same. RECO_TEST_SEED repeats a run, RECO_TEST_STEPS sets its length, RECO_TEST_ONLY=name takes one workload."""
import io
import os
import random
import sys
import time

import psycopg2
from psycopg2.extras import execute_values

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from engine import (Services, Tap, change_catalog, execute, make_oracle, moment, oracle_differences, query,  # noqa: E402
                    reference_differences, take_settings)
from reference import SECOND, Parameters, Reference  # noqa: E402
from workload import Workload  # noqa: E402

START = 4102444800 + 7 * 3600 + 11  # 2100-01-01 07:00:11 UTC
COLUMNS = 'event_type, user_id, product_id, query, "timestamp"'

# What the settings and the shop's shape are, besides the defaults.
WORKLOADS = {
    'the defaults': ({}, {}),
    'short windows': ({'trending_window': 10, 'recent_window': 60, 'retention': 120}, {'max_future': 30}),
    'least retention': ({'trending_window': 7, 'recent_window': 20, 'retention': 27}, {'max_future': 1}),
    'no limit on a list': ({'max_recommendations': 0}, {'users': 40}),
    'a small cap on views': ({'max_user_views': 3}, {'users': 4}),
    'a cap of one view': ({'max_user_views': 1, 'top_categories': 1, 'max_recommendations': 1}, {}),
    'ties': ({'trending_size': 2, 'trending_max': 3, 'top_categories': 2, 'max_recommendations': 4}, {'categories': 12, 'views': 10}),
    'one user': ({'max_user_views': 40}, {'users': 1, 'awkward': False, 'products': 120, 'categories': 5}),
    'a window as long as H': ({'trending_window': 3600, 'recent_window': 3600, 'retention': 7200}, {}),
    'odd windows': ({'trending_window': 37, 'recent_window': 100, 'retention': 1000, 'trending_size': 3}, {'max_future': 50}),
    'fewer trending than the rank': ({'trending_size': 10, 'trending_max': 4}, {'views': 10}),
}


def row(event):
    return event.event_type, event.user_id, event.product_id, event.query, moment(event.at)


def copy_text(events):
    escape = str.maketrans({'\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r'})
    return io.StringIO(''.join('\t'.join('\\N' if value is None else str(value).translate(escape) for value in row(e)) + '\n'
                               for e in events))


class Driver:
    """Applies each operation to the engine and to the reference, in sessions that take turns: each caches the mirror."""

    def __init__(self, services, reference, seed):
        self.services = services
        self.reference = reference
        self.random = random.Random(seed)
        self.sessions = [None, None, None]

    def apply(self, operation):
        turn = self.random.randrange(3)
        if self.sessions[turn] is None or self.random.random() < .05:
            self.close(turn)
            self.sessions[turn] = self.services.connect()
        with self.sessions[turn].cursor() as self.cursor:
            getattr(self, operation[0].replace(' ', '_'))(*operation[1:])

    def close(self, turn):
        if self.sessions[turn] is not None:
            self.sessions[turn].close()

    def write(self, events):
        execute_values(self.cursor, f'INSERT INTO reco.activity ({COLUMNS}) VALUES %s', map(row, events), page_size=len(events))

    def events(self, events, how):
        if how in ('rollback', 'savepoint'):
            self.cursor.execute('BEGIN')
            if how == 'savepoint':  # what stays, around what goes
                self.write(events[::2])
                self.cursor.execute('SAVEPOINT s')
            self.write(events)
            if how == 'rollback':
                self.cursor.execute('ROLLBACK')
                return
            self.cursor.execute('ROLLBACK TO s')
            if events[1::2]:
                self.write(events[1::2])
            self.cursor.execute('COMMIT')
        elif how == 'copy':
            self.cursor.copy_expert(f'COPY reco.activity ({COLUMNS}) FROM STDIN', copy_text(events))
        elif how == 'rows':  # several statements in one transaction
            self.cursor.execute('BEGIN')
            for i in range(0, len(events), 1 + len(events) // 5):
                self.write(events[i:i + 1 + len(events) // 5])
            self.cursor.execute('COMMIT')
        else:
            self.write(events)
        self.reference.insert(events)

    def tick(self, to):
        if to < self.reference.clock:
            try:
                self.cursor.execute('SELECT reco_tick(to_timestamp(%s))', (to,))
            except psycopg2.Error:
                pass  # refused or ignored, it must not move
            return
        self.cursor.execute('SELECT reco_tick(to_timestamp(%s))', (to,))
        self.reference.tick(to)

    def catalog(self, changes, how):
        change_catalog(self.cursor, changes, how)
        if how == 'commit':
            self.reference.change_catalog(changes)

    def truncate_catalog(self):
        self.cursor.execute('TRUNCATE reco.product')
        for product in list(self.reference.category):
            self.reference.drop_product(product)

    def delete(self, column, value):
        if column == 'timestamp':
            self.cursor.execute('DELETE FROM reco.activity WHERE "timestamp" BETWEEN %s AND %s', tuple(map(moment, value)))
            self.reference.delete(lambda e: value[0] <= e.at <= value[1])
        else:
            self.cursor.execute(f'DELETE FROM reco.activity WHERE {column} = %s', (value,))
            self.reference.delete(lambda e: getattr(e, column) == value)

    def truncate(self):
        self.cursor.execute('TRUNCATE reco.activity')
        self.reference.delete(lambda e: True)

    def popularity(self):
        self.cursor.execute('SELECT reco_take_popularity()')
        self.reference.take_popularity()

    def sweep(self, lists):
        self.cursor.execute('SELECT reco_sweep(%s)', (lists,))

    def rebuild(self):
        self.cursor.execute('SELECT reco_rebuild()')

    def reclaim(self):
        self.cursor.execute('SELECT reco.reclaim()')

    def refused(self, event):
        try:
            self.write([event])
        except psycopg2.errors.CheckViolation:
            return
        raise AssertionError(f'{event} was not refused')


def summary(operation):
    """An operation in one line."""
    if operation[0] == 'events':
        return f'{len(operation[1])} events, {operation[2]}'
    return repr(operation)[:200]


def differences(connection, reference, step):
    found, left_out = oracle_differences(connection)
    found = [f'oracle: {line}' for line in found] + reference_differences(connection, reference)
    if step % 10 == 0:
        found += [f'reco_verify: {line}' for line in query(connection, 'SELECT * FROM reco_verify()')]
    return found, left_out


def run(tap, services, name, seed, steps):
    settings, shape = WORKLOADS[name]
    parameters = Parameters(**settings)
    connection = services.connect()
    execute(connection, 'DROP EXTENSION IF EXISTS reco CASCADE')
    take_settings(connection, **vars(parameters), max_future=shape.get('max_future', 3600))
    execute(connection, 'CREATE EXTENSION reco')
    execute(connection, 'SELECT reco_tick(to_timestamp(%s))', (START,))
    make_oracle(connection)

    reference = Reference(parameters, START)
    driver = Driver(services, reference, seed)
    log, older, begun = [], 0, time.monotonic()
    for step, operation in enumerate(Workload(seed, reference, **shape).operations(steps)):
        log.append(f'step {step}: {summary(operation)}')
        try:
            driver.apply(operation)
            found, left_out = differences(connection, reference, step)
            if operation[0] == 'sweep' and operation[1] > 1000 and left_out:
                found.append(f'{left_out} lists are of an older generation after a sweep over all')
        except (psycopg2.Error, AssertionError) as error:
            found, left_out = [f'{type(error).__name__}: {str(error)[:500]}'], 0
        older += left_out
        if found:
            tap.ok(False, f'{name}, seed {seed}', log[-8:] + found)
            break
    else:
        tap.ok(True, f'{name}, seed {seed}: {steps} steps')
    tap.note(f'{step} steps in {time.monotonic() - begun:.1f} s; lists left out in all {older}')
    for turn in range(3):
        driver.close(turn)
    connection.close()


def main():
    tap = Tap()
    seed = int(os.environ.get('RECO_TEST_SEED') or random.randrange(10**6))
    steps = int(os.environ.get('RECO_TEST_STEPS') or 120)
    tap.note(f'RECO_TEST_SEED={seed} RECO_TEST_STEPS={steps}')
    services = Services('postgres', reco__enabled='off')
    for name in WORKLOADS:
        if os.environ.get('RECO_TEST_ONLY', name) == name:
            run(tap, services, name, seed, steps)
    tap.done()


if __name__ == '__main__':
    main()
