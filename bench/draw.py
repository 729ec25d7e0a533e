"""Draws the figures of a run: one SVG file each."""
import importlib
import os


def draw(results, out, tell):
    import matplotlib
    matplotlib.use('svg')
    from matplotlib import pyplot
    pyplot.rcParams.update({'svg.fonttype': 'none', 'font.size': 9, 'axes.titlesize': 10, 'axes.grid': True, 'axes.axisbelow': True, 'grid.linewidth': 0.3})
    for name, measured in results['figures'].items():
        if 'data' not in measured:
            continue
        figure = pyplot.figure(figsize=(10, 5), layout='constrained')
        importlib.import_module('figures.' + name).draw(measured['data'], figure)
        figure.suptitle('%s, %s' % (name, measured.get('date')), fontsize=8, color='gray')
        path = os.path.join(out, name + '.svg')
        figure.savefig(path)
        pyplot.close(figure)
        tell('drawn: ' + path)
