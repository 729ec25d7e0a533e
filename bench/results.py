"""Rows of the table: what was measured, in which unit, and what was to be reached."""
import os
import re
import statistics
import textwrap


def row(what, values, unit, reach=None, note=''):
    """A row of one value or of several runs; reach: ('>=', 100000)."""
    values = list(values) if isinstance(values, (list, tuple)) else [values]
    return {'what': what, 'value': statistics.median(values), 'low': min(values), 'high': max(values), 'runs': len(values),
            'unit': unit, 'reach': list(reach) if reach else None, 'note': note}


def reached(row):
    if not row['reach']:
        return None
    how, limit = row['reach']
    return row['value'] >= limit if how == '>=' else row['value'] <= limit


def number(value):
    if value is None:
        return ''
    if value == 0 or abs(value) >= 1000:
        return '%.0f' % value
    return '%.3g' % value


def cells(row):
    spread = '' if row['runs'] == 1 else '%s – %s' % (number(row['low']), number(row['high']))
    met = reached(row)
    reach = '' if met is None else '%s %s: %s' % ({'>=': '≥', '<=': '≤'}[row['reach'][0]], number(row['reach'][1]), 'yes' if met else 'NO')
    return [row['what'], number(row['value']), row['unit'], spread, reach, row['note']]


def table(figures):
    """The whole table as Markdown."""
    lines = ['| figure | measured | median | unit | min – max | reach | note |', '| --- | --- | ---: | --- | --- | --- | --- |']
    for name, figure in figures.items():
        if 'failure' in figure:
            lines.append('| %s | FAILED | | | | | %s |' % (name, figure['failure'].replace('\n', ' ')[:200]))
        for each in figure.get('rows', []):
            lines.append('| %s | %s |' % (name, ' | '.join(cells(each))))
    return '\n'.join(lines)


def report(results):
    """The report of a run: the machine, the table, and the load average around each figure."""
    lines = ['Run of %s.' % results['machine']['date'], '']
    lines += ['- %s: %s' % item for item in results['machine'].items() if item[0] != 'date']
    lines += ['- options: ' + ', '.join('%s %s' % item for item in results['options'].items()), '', table(results['figures']), '']
    lines += ['When, on what and of which commit each figure was measured, load average before and after, duration:', '']
    lines += ['- %s: %s, %s, %s, load %.1f, %.1f, %.0f s' % (
        name, f.get('date'), f.get('processors'), f.get('code'), f['load_before'], f['load_after'], f['seconds']) for name, f in results['figures'].items()] + ['']
    return '\n'.join(lines)


RECORD = """# Results

Written by `bench/run --record`, a section for each figure: when it was last measured, on
what, and of which commit. [README.md](README.md) explains the figures,
[EARLIER.md](EARLIER.md) contains the results of 2026-11-27 with their explanations.
"""


def section(name, figure, results):
    """A figure's section of the record."""
    machine = ', '.join('%s %s' % item for item in results['machine'].items() if item[0] not in ('date', 'processors', 'code'))
    options = ', '.join('%s %s' % item for item in results['options'].items())
    words = 'Measured %s on %s, commit %s, in %.0f s; load average %.1f before, %.1f after. Machine: %s. Options: %s.' % (
        figure['date'], figure['processors'], figure['code'], figure['seconds'], figure['load_before'], figure['load_after'], machine, options)
    lines = ['## ' + name, '', textwrap.fill(words, 90, break_long_words=False, break_on_hyphens=False), '']
    if 'failure' in figure:
        return '\n'.join(lines + ['It failed: ' + figure['failure'].replace('\n', ' ')[:200], ''])
    lines += ['| measured | median | unit | min – max | reach | note |', '| --- | ---: | --- | --- | --- | --- |']
    return '\n'.join(lines + ['| %s |' % ' | '.join(cells(each)) for each in figure.get('rows', [])] + [''])


def record(results, measured, order, path):
    """Replace the sections of the figures that were measured; the others stay as they are."""
    sections = {}
    if os.path.exists(path):
        with open(path) as file:
            for text in re.split('(?m)^(?=## )', file.read())[1:]:
                sections[text[3:text.index('\n')]] = text.rstrip() + '\n'
    sections.update({name: section(name, results['figures'][name], results) for name in measured})
    with open(path + '.new', 'w') as file:
        file.write('\n'.join([RECORD] + [sections[name] for name in order if name in sections]))
    os.replace(path + '.new', path)


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]
