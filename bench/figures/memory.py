"""Memory: the private memory of each process over all figures that ran on the same services."""
from results import row


def measure(bench):
    samples = list(bench.shop().memory.samples)
    if bench.shop().memory.failure:
        raise bench.shop().memory.failure
    names = sorted({name for _, sample in samples for name in sample})
    rows = [row(name + ', most', max(sample.get(name, 0) for _, sample in samples), 'MB', None,
                '%.0f MB at the end' % samples[-1][1].get(name, 0)) for name in names]
    thinned = samples[::max(1, len(samples) // 500)]
    return {'rows': rows, 'data': {'samples': thinned, 'names': names, 'figures': bench.times()}}


def draw(data, figure):
    axis = figure.subplots()
    for name in data['names']:
        axis.plot([at / 60 for at, _ in data['samples']], [sample.get(name, 0) for _, sample in data['samples']], label=name)
    for name, at in data['figures']:
        axis.axvline(at / 60, color='gray', linewidth=0.5)
        axis.annotate(name, (at / 60, axis.get_ylim()[1]), rotation=90, fontsize=7, color='gray', va='top')
    axis.set(title='Private memory of the processes', xlabel='minutes', ylabel='MB', ylim=(0, None))
    axis.legend(fontsize=8)
