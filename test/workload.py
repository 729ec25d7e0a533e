"""Random workloads: the same seed gives the same operations.

A workload yields operations as tuples; who drives it applies each to the engine and to the reference:

    ('events', [Event], how)       how: insert, rows, copy, savepoint, rollback
    ('tick', second)               also into the past, which must change nothing
    ('catalog', [change], how)     how: commit, rollback; change: ('put', product, category), ('drop', product), ('rename', old, new),
                                   ('move', category, to): all products of a category
    ('truncate catalog',)
    ('delete', column, value)      activity of a user, a product or a type; ('delete', 'timestamp', (from, to))
    ('truncate',)
    ('popularity',)                take it
    ('sweep', lists)               bring that many lists to the present generation
    ('rebuild',)                   compute everything anew
    ('reclaim',)                   give numbers free that nothing refers to
    ('refused', Event)             too late or too far ahead for INSERT
"""
import random

from reference import SECOND, Event

AWKWARD = ['ä', 'Ä', 'z', 'Z', '日本', '😀', 'a b', 'a"b', "a'b", 'a\\b', 'a\tb', 'a,b', '{a}', 'NULL', '%s', '0', '-1', 'é', 'é',
           'x' * 512, 'ü' * 256]
USERS = [0, -1, 2**63 - 1, -2**63]


class Workload:
    def __init__(self, seed, reference, max_future=3600, users=12, products=50, categories=7, views=40, awkward=True):
        self.random = random.Random(seed)
        self.reference = reference
        self.max_future = max_future
        self.views = views
        self.users = (USERS if awkward else []) + list(range(1, users + 1))
        self.products = [f'product_{i}' for i in range(products)] + (AWKWARD if awkward else [])
        self.categories = [f'shoes/{i}' for i in range(categories - 2)] + ['Shoes/1', 'bücher', None, '']
        self.times = []

    # Events

    def moment(self):
        """A time that an event may have, often near one of the edges."""
        pick, p = self.random, self.reference.parameters
        clock = self.reference.clock * SECOND
        horizon, upto = self.reference.horizon(), clock + self.max_future * SECOND
        aged = clock - p.recent_window * SECOND
        way = pick.random()
        if way < .15 and self.times:
            at = pick.choice(self.times)  # a duplicate
        elif way < .45:
            at = clock - pick.randrange(p.trending_window * SECOND)
        elif way < .65:
            at = pick.randrange(aged, clock)
        elif way < .75:
            at = pick.randrange(horizon, upto)
        elif way < .85:
            at = pick.randrange(clock, upto + 1)
        else:
            edge = pick.choice([horizon, aged, aged, clock, upto, self.reference.window(clock),
                                self.reference.window(pick.randrange(horizon, upto))])
            at = edge + pick.choice([0, 0, 1, -1, 1000, -1000, SECOND, -SECOND])
        if pick.random() < .3:
            at = at // SECOND * SECOND
        at = max(horizon, min(at, upto))
        self.times = self.times[-50:] + [at]
        return at

    def event(self):
        pick = self.random
        kind = pick.choices(['page_view', 'click', 'search', 'add_to_cart', 'purchase', 'wish'], [80, 5, 5, 3, 3, 4])[0]
        # few users and products get most of it; the rest makes ties
        user = self.users[min(int(pick.expovariate(4 / len(self.users))), len(self.users) - 1)]
        product = self.products[min(int(pick.expovariate(3 / len(self.products))), len(self.products) - 1)]
        query = None
        if pick.random() < .02:
            product = f'made up {pick.randrange(10**6)}'  # numbers of such products are used again
        if kind == 'search':
            product, query = None, pick.choice(['running shoes', 'ä', "o'neill", ' '])
        elif kind == 'wish' and pick.random() < .5:
            product = None
        return Event(kind, user, product, query, self.moment())

    def events(self):
        pick = self.random
        count = pick.choice([1, 1, 2, 5, self.views, 3 * self.views])
        events = [self.event() for _ in range(count)]
        if pick.random() < .1:  # a robot: one user far over the cap
            user, count = pick.choice(self.users), 2 * min(self.reference.parameters.max_user_views, 600)
            events += [Event('page_view', user, pick.choice(self.products), None, self.moment()) for _ in range(count)]
        if pick.random() < .3:  # everybody views the same: ties
            at = self.moment()
            events += [Event('page_view', user, product, None, at)
                       for user in self.users for product in pick.sample(self.products, 2)]
        pick.shuffle(events)
        return events

    # The catalog

    def changes(self):
        pick, held = self.random, sorted(self.reference.category)
        absent = sorted(set(self.products) - set(held))
        changes = []
        for _ in range(pick.choice([1, 1, 2, 5, 20])):
            way = pick.random()
            if way < .1 and held and absent:
                old, new = pick.choice(held), pick.choice(absent)
                changes.append(('rename', old, new))
                held = [p for p in held if p != old] + [new]
                absent = [p for p in absent if p != new] + [old]
            elif way < .25 and held:
                product = held.pop(pick.randrange(len(held)))
                changes.append(('drop', product))
                absent.append(product)
            elif way < .6 and absent:
                product = absent.pop(pick.randrange(len(absent)))
                changes.append(('put', product, pick.choice(self.categories)))
                held.append(product)
            elif way < .65:
                changes.append(('move', *pick.sample([c for c in self.categories if c], 2)))
            elif held:
                changes.append(('put', pick.choice(held), pick.choice(self.categories)))
        return changes

    def catalog(self):
        """The first products, most of those there are."""
        return [('put', product, self.random.choice(self.categories))
                for product in self.products if self.random.random() < .8]

    # What happens next

    def deletion(self):
        pick = self.random
        column = pick.choice(['user_id', 'product_id', 'event_type', 'timestamp'])
        if column == 'timestamp':
            start = self.moment()
            return 'delete', column, (start, start + pick.choice([0, SECOND, 60 * SECOND, 3600 * SECOND]))
        values = {'user_id': self.users, 'product_id': self.products, 'event_type': ['page_view', 'click', 'search']}[column][:12]
        return 'delete', column, values[int(len(values) * pick.random() ** 2)]

    def robot(self):
        """Many views of one user in no order."""
        user = self.random.choice(self.users)
        return [Event('page_view', user, self.random.choice(self.products), None, self.moment()) for _ in range(5000)]

    def refused(self):
        reference = self.reference
        at = self.random.choice([reference.horizon() - 1, reference.horizon() - 86400 * SECOND,
                                 (reference.clock + self.max_future) * SECOND + 1, (reference.clock + 10**6) * SECOND])
        return 'refused', Event('page_view', self.users[0], self.products[0], None, at)

    def operation(self):
        pick, p = self.random, self.reference.parameters
        clock = self.reference.clock
        way = pick.random()
        if way < .45:
            return 'events', self.events(), pick.choice(['insert', 'insert', 'rows', 'copy', 'savepoint', 'rollback'])
        if way < .65:
            step = pick.choice([0, 1, 1, 2, 7, 60, p.trending_window // 2, p.trending_window,
                                p.recent_window // 3, p.recent_window, 2 * p.retention, -5])
            if pick.random() < .3:  # so that a known event turns H old, or is one second short of it
                times = sorted(e.at for e in self.reference.events if e.event_type == 'page_view')
                if times:
                    at = -(-pick.choice(times[:10]) // SECOND) + p.recent_window - pick.choice([0, 1])
                    step = max(0, at - clock)
            return 'tick', clock + step
        if way < .83:
            return 'catalog', self.changes(), pick.choice(['commit', 'commit', 'commit', 'rollback'])
        if way < .88:
            return self.deletion()
        if way < .885:
            return ('truncate',)
        if way < .89:
            return ('truncate catalog',)
        if way < .895:
            return 'events', self.robot(), pick.choice(['insert', 'copy'])
        if way < .91:
            return ('rebuild',)
        if way < .915:
            return ('reclaim',)
        if way < .92:
            return self.refused()
        if way < .95:
            return ('popularity',)
        return 'sweep', pick.choice([1, 3, 10, 1000000])

    def operations(self, count):
        yield 'catalog', self.catalog(), 'commit'
        for _ in range(count):
            yield self.operation()
