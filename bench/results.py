"""Rows of the table: what was measured, in which unit, and what was to be reached."""
import statistics


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


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]
