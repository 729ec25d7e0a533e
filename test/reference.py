"""What reco must say, in plain Python: dictionaries, no SQL, nothing shared with the project.

Times are integers: microseconds since 1970 for events, whole seconds for the clock and the parameters.
"""
from collections import Counter, defaultdict
from dataclasses import dataclass

SECOND = 1_000_000


@dataclass(frozen=True)
class Parameters:
    """The settings that give the state its meaning, under the names of reco.state; windows in seconds."""
    trending_window: int = 3600
    recent_window: int = 86400
    retention: int = 90000
    trending_size: int = 10
    trending_max: int = 1000
    max_user_views: int = 500
    top_categories: int = 3
    max_recommendations: int = 20


@dataclass(frozen=True)
class Event:
    event_type: str
    user_id: int
    product_id: str  # None for a search
    query: str
    at: int  # microseconds


def order_c(text):
    """The order of COLLATE "C" in UTF-8."""
    return text.encode()


def ranks(counts):
    """{key: rank()} by falling count: equal counts share a rank, the next one skips."""
    by_count = Counter(counts.values())
    rank, at = {}, 1
    for count in sorted(by_count, reverse=True):
        rank[count] = at
        at += by_count[count]
    return {key: rank[count] for key, count in counts.items()}


class Reference:
    def __init__(self, parameters, clock):
        self.parameters = parameters
        self.clock = clock
        self.events = []
        self.category = {}    # the catalog: product -> category or None
        self.popularity = {}  # as it was last taken, of a product that came later when it came

    # What happens

    def tick(self, to):
        self.clock = max(self.clock, to)
        oldest = min(self.horizon(), (self.clock - self.parameters.recent_window) * SECOND)
        self.events = [e for e in self.events if e.at >= oldest]

    def insert(self, events):
        self.events.extend(events)

    def delete(self, unwanted):
        self.events = [e for e in self.events if not unwanted(e)]

    def put_product(self, product, category):
        self.category[product] = category or None
        if product not in self.popularity:
            self.popularity[product] = self.recent_views(self.clock)[product]

    def drop_product(self, product):
        self.category.pop(product, None)
        self.popularity.pop(product, None)

    def move_category(self, category, to):
        self.category = {product: to if held == category else held for product, held in self.category.items()}

    def change_catalog(self, changes):
        for change in changes:
            {'put': self.put_product, 'drop': self.drop_product, 'rename': self.rename_product,
             'move': self.move_category}[change[0]](*change[1:])

    def rename_product(self, product, name):
        """A new key in the same row of the mirror, which keeps its popularity."""
        self.category[name] = self.category.pop(product)
        self.popularity[name] = self.popularity.pop(product)

    def take_popularity(self, clock=None):
        views = self.recent_views(self.clock if clock is None else clock)
        self.popularity = {product: views[product] for product in self.category}

    def recent_views(self, clock):
        """Page views of each product in the windows that start after clock - H."""
        after = (clock - self.parameters.recent_window) * SECOND
        return Counter(e.product_id for e in self.events
                       if e.event_type == 'page_view' and self.window(e.at) > after)

    # What follows

    def window(self, at):
        length = self.parameters.trending_window * SECOND
        return at // length * length

    def horizon(self):
        return self.window((self.clock - self.parameters.retention) * SECOND)

    def trending(self):
        """{(window start, product): views} of each window's most viewed."""
        windows = defaultdict(Counter)
        horizon = self.horizon()
        for e in self.events:
            if e.event_type == 'page_view' and e.at >= horizon:
                windows[self.window(e.at)][e.product_id] += 1
        trending = {}
        for start, counts in windows.items():
            rank = ranks(counts)
            top = sorted((product for product in counts if rank[product] <= self.parameters.trending_size),
                         key=lambda product: (rank[product], order_c(product)))
            trending.update({(start, product): counts[product] for product in top[:self.parameters.trending_max]})
        return trending

    def recent(self):
        """{user: her newest views within H as (second, product)}; a second is rounded up."""
        after = (self.clock - self.parameters.recent_window) * SECOND
        views = defaultdict(list)
        for e in self.events:
            if e.event_type == 'page_view' and e.at > after:
                views[e.user_id].append((-(-e.at // SECOND), e.product_id))
        for user, viewed in views.items():
            viewed.sort(key=lambda v: (v[0], order_c(v[1])), reverse=True)
            del viewed[self.parameters.max_user_views:]
        return dict(views)

    def shelves(self):
        """{category: [(order, product)]}, best first."""
        shelves = defaultdict(list)
        for product, category in self.category.items():
            if category is not None:
                shelves[category].append(((-self.popularity[product], order_c(product)), product))
        for shelf in shelves.values():
            shelf.sort()
        return shelves

    def lists(self, recent=None, shelves=None):
        """{user: recommended products}; users with none are not in it."""
        recent = self.recent() if recent is None else recent
        shelves = self.shelves() if shelves is None else shelves
        result = {}
        for user, views in recent.items():
            products = self.recommend(views, shelves)
            if products:
                result[user] = products
        return result

    def recommend(self, views, shelves):
        seen = {product for _, product in views}
        counts = Counter(self.category[product] for _, product in views
                         if self.category.get(product) is not None)
        top = sorted((rank, category) for category, rank in ranks(counts).items()
                     if rank <= self.parameters.top_categories)
        products, limit = [], self.parameters.max_recommendations
        for rank in sorted({rank for rank, _ in top}):
            tied = sorted(entry for r, category in top if r == rank for entry in shelves[category])
            products += [product for _, product in tied if product not in seen]
            if limit and len(products) >= limit:
                return products[:limit]
        return products
