"""One module a figure: measure(bench) gives rows for the table and data; draw(data, figure) draws the data."""
