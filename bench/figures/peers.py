"""Peers: other ways to do the same job, each with the machine for itself, as ratios to reco's drain."""
import peer
from results import row


def measure(bench):
    shop = bench.shop()
    found, rows = [], []
    reco = bench.drain_rate()
    shop.settle()
    shop.enable(False)
    try:
        with peer.Field(bench, shop) as field:
            for name, variant, size in field.contestants():
                runs = field.run(name, variant, size)
                found.append({'name': name, 'variant': variant + (' after the history' if size == peer.AFTER_HISTORY else ''), 'runs': runs})
                rows += rows_of(found[-1], reco)
    finally:
        shop.enable(True)
    if not found:
        rows.append(row('peers found in bench/peers', 0, 'peers'))
    return {'rows': rows, 'data': {'reco': reco, 'peers': found}}


def rates(entry):
    return [run['events'] / run['seconds'] for run in entry['runs'] if run.get('finished') and run.get('seconds')]


def rows_of(entry, reco):
    label = entry['name'] + (' ' + entry['variant'] if entry['variant'] else '')
    last, finished = entry['runs'][-1], [run for run in entry['runs'] if run.get('finished')]
    left = last.get('leaves_out') or []
    note = '%s events%s' % (last.get('events'), '; leaves out: ' + ', '.join(left) if left else '')
    done = rates(entry)
    if not done:
        return [row(label + ': did not finish', 0, 'events/s', None, '%s; %s' % (note, last.get('failure', '')))]
    rows = [row(label, done, 'events/s', None, note), row('reco to ' + label, [reco / rate for rate in done], '×', reach_of(entry))]
    if last.get('cpu_seconds'):
        rows.append(row('processor time of ' + label, [run['cpu_seconds'] * 1e6 / run['events'] for run in finished], 'µs/event'))
    if last.get('refreshes'):
        rows.append(row('refreshes in a run of ' + label, [run['refreshes'] for run in finished], ''))
    if last.get('rss_mb'):
        rows.append(row('memory of ' + label, [run['rss_mb'] for run in finished], 'MB'))
    return rows


def reach_of(entry):
    if entry['name'] == 'limit':
        return ('>=', 0.2)
    return ('>=', 10) if entry['name'] == 'flink' and 'checkpoint' in entry['variant'] else None


def draw(data, figure):
    axis = figure.subplots()
    bars = [('reco', data['reco'])] + [((each['name'] + ' ' + (each['variant'] or '')).strip(), sorted(rates(each) or [0])[len(rates(each)) // 2]) for each in data['peers']]
    bars.reverse()
    drawn = axis.barh([name for name, _ in bars], [rate for _, rate in bars])
    axis.bar_label(drawn, labels=['%.0f' % rate if rate else 'did not finish' for _, rate in bars], padding=3)
    axis.set(title='A backlog to Redis', xlabel='events/s (logarithmic)', xscale='symlog')
