"""The shop of the demo: a category tree with a few hundred named products, and shoppers who have a taste."""
import random

CATEGORIES = {
    'shoes/running': 'running shoes', 'shoes/trail': 'trail shoes', 'shoes/hiking': 'hiking boots', 'shoes/sandals': 'sandals',
    'clothing/jackets/rain': 'rain jacket', 'clothing/jackets/down': 'down jacket', 'clothing/fleece': 'fleece pullover',
    'clothing/socks': 'wool socks', 'clothing/hats': 'wool hat', 'clothing/gloves': 'gloves',
    'camping/tents': 'tent', 'camping/sleeping-bags': 'sleeping bag', 'camping/mats': 'sleeping mat', 'camping/stoves': 'gas stove',
    'camping/lamps': 'head lamp', 'camping/knives': 'pocket knife',
    'bags/backpacks': 'backpack', 'bags/duffels': 'duffel bag', 'bags/bottles': 'water bottle',
    'climbing/ropes': 'rope', 'climbing/harnesses': 'harness', 'climbing/helmets': 'helmet', 'climbing/shoes': 'climbing shoes',
    'cycling/helmets': 'cycling helmet', 'cycling/lights': 'bike light', 'cycling/jerseys': 'cycling jersey',
    'winter/skis': 'touring skis', 'winter/goggles': 'ski goggles', 'water/kayaks': 'kayak', 'water/wetsuits': 'wetsuit',
}
MODELS = ('Fjord Kestrel Tundra Lynx Granite Breeze Ember Drift Summit Otter Larch Comet Heron Moss Ridge Falcon '
          'Pebble Storm Willow Basalt Swift Aurora').split()
PER_CATEGORY = 12
NAMES = ('Anna Ben Carla David Elif Farid Grace Hugo Ines Jonas Kavya Liam Mara Nils Olga Pablo Quinn Rosa Samir '
         'Tess Umar Vera Wanda Yuki Zoe').split()


class Shop:
    """Products, by category; the first of each category are bought and looked at most."""

    def __init__(self, rng):
        self.products = []          # (product_id, name, category, price)
        self.by_category = {}
        for category, noun in CATEGORIES.items():
            models = MODELS[:1] + rng.sample(MODELS[1:], PER_CATEGORY - 1)
            rng.shuffle(models)
            for model in models:
                product_id = '%s-%s' % (noun.replace(' ', '-'), model.lower())
                self.products.append((product_id, '%s %s' % (model, noun), category, rng.randrange(900, 29900) / 100))
                self.by_category.setdefault(category, []).append(product_id)
        self.name = {product[0]: product[1] for product in self.products}

    def pick(self, rng, category):
        """A product of the category: a few are favourites of all (Zipf)."""
        products = self.by_category[category]
        return products[min(int(rng.paretovariate(0.7)) - 1, len(products) - 1)] if rng.random() < 0.8 else rng.choice(products)


class Shopper:
    """One user: likes two or three categories, mostly neighbours in the tree, and now and then looks elsewhere."""

    def __init__(self, rng, user_id):
        self.user_id = user_id
        self.name = rng.choice(NAMES)
        first = rng.choice(list(CATEGORIES))
        near = [c for c in CATEGORIES if c.split('/')[0] == first.split('/')[0]]
        self.taste = [first, first, first, rng.choice(near), rng.choice(list(CATEGORIES))]

    def session(self, rng, shop):
        """The events of one visit: (type, product or query)."""
        category = rng.choice(self.taste) if rng.random() < 0.9 else rng.choice(list(CATEGORIES))
        if rng.random() < 0.2:
            yield 'search', CATEGORIES[category]
        for _ in range(1 + min(int(rng.expovariate(0.25)), 20)):
            product = shop.pick(rng, category)
            yield 'page_view', product
            if rng.random() < 0.3:
                yield 'click', product
            if rng.random() < 0.08:
                yield 'add_to_cart', product
                if rng.random() < 0.4:
                    yield 'purchase', product
            if rng.random() < 0.15:
                category = rng.choice(self.taste)


class Crowd:
    """Many shoppers; gives their events in the order in which they happen, at a rate that can be chosen."""

    def __init__(self, rng, shop, count):
        self.rng = rng
        self.shop = shop
        self.shoppers = [Shopper(rng, user_id) for user_id in range(100, 100 + count)]
        self.open = []              # sessions going on: (shopper, iterator)

    def event(self):
        """The next event of somebody: (user_id, type, product or query). About 200 visits go on at a time."""
        while True:
            while len(self.open) < 200:
                shopper = self.shoppers[min(int(self.rng.expovariate(3 / len(self.shoppers))), len(self.shoppers) - 1)]
                self.open.append((shopper, shopper.session(self.rng, self.shop)))
            at = self.rng.randrange(len(self.open))
            shopper, session = self.open[at]
            step = next(session, None)
            if step is not None:
                return (shopper.user_id,) + step
            self.open[at] = self.open[-1]
            self.open.pop()


def crowd(seed=1, count=5000):
    rng = random.Random(seed)
    shop = Shop(rng)
    return shop, Crowd(rng, shop, count)
