"""What a fault is, and how the next one is drawn."""
import itertools
import random

KINDS = {}


class Fault:
    """A fault is made for one use: inject(), a moment in which shop and reco go on, heal(), the checks, release().

    kind    its name
    bound   seconds from the end of heal() in which everything must be right again
    alone   is it never drawn together with another one?
    hold    seconds between inject and heal, least and most
    last    of two at once, does it come last and heal first? The server may not let the other one do its work"""
    kind = None
    bound = 10
    alone = False
    hold = (0.3, 1.5)
    last = False

    def __init_subclass__(cls):
        if cls.kind:
            KINDS[cls.kind] = cls

    def __init__(self, world, pick):
        self.world, self.pick = world, pick
        self.note = ''  # what was drawn, for the report
        self.before, self.seconds = pick.uniform(0.2, 1), pick.uniform(*self.hold)

    def inject(self):
        """Makes something go wrong."""

    def heal(self):
        """Puts right what does not heal by itself."""

    def release(self):
        """Ends what lasts through the checks."""

    def problems(self):
        """What this fault calls for beside the checks; a list of lines."""
        return []


class Two(Fault):
    """Two faults at once; they heal in either order."""

    def __init__(self, world, pick, first, second):
        self.faults = sorted((first(world, pick), second(world, pick)), key=lambda fault: fault.last)
        self.kind = f'{first.kind}+{second.kind}'
        self.bound = sum(fault.bound for fault in self.faults)
        self.before, self.seconds = (max(getattr(fault, name) for fault in self.faults) for name in ('before', 'seconds'))
        self.healed = self.faults[::-1] if self.faults[1].last else pick.sample(self.faults, 2)

    @property
    def note(self):
        return ', '.join(fault.note for fault in self.faults if fault.note)

    def inject(self):
        for fault in self.faults:
            fault.inject()

    def heal(self):
        for fault in self.healed:
            fault.heal()

    def release(self):
        for fault in self.healed:
            fault.release()

    def problems(self):
        return [line for fault in self.faults for line in fault.problems()]


def draw(world, kind, seed):
    """The fault of a kind, or of two (KIND+KIND), as the seed makes it."""
    pick = random.Random(f'{seed} {kind}')
    kinds = [KINDS[name] for name in kind.split('+')]
    return kinds[0](world, pick) if len(kinds) == 1 else Two(world, pick, *kinds)


def sequence(seed, only=None):
    """Endless (kind, seed): every kind in turn, in an order that is drawn, and each fifth time two at once."""
    pick, deck, count = random.Random(seed), [], 0
    # two of one module would get into each other's way
    together = [f'{a}+{b}' for a, b in itertools.combinations(sorted(k for k in KINDS if not KINDS[k].alone), 2)
                if KINDS[a].__module__ != KINDS[b].__module__]
    while True:
        count += 1
        if only:
            kind = only
        elif count % 5 == 0:
            kind = pick.choice(together)
        else:
            deck = deck or pick.sample(sorted(KINDS), len(KINDS))
            kind = deck.pop()
        yield kind, seed
        seed = random.Random(f'after {seed}').randrange(10 ** 9)
