"""What is played: a model, what waits for it, and the bars of each scenario."""


class Scenario:
    """Bars: ratio: drain time in times of the oracle's. refusals: per 1,000 delivered. fresh_s: 99th percentile of fresh mail's
    delay. first_s: from the moment at which the server can take mail to the first delivery. in_5s: deliveries in the 5 s after
    that. None: no bar. Nobody may crash a server, lose, bounce or repeat mail in any of them."""

    def __init__(self, name, model, ratio, backlog=6000, fresh_per_s=2, full_s=None, refusals=None, fresh_s=None, first_s=None,
                 in_5s=None):
        self.name = name
        self.model = model
        self.backlog = backlog
        self.fresh_per_s = fresh_per_s
        self.full_s = full_s
        self.bars = {'ratio': ratio, 'refusals': refusals, 'fresh_s': fresh_s, 'first_s': first_s, 'in_5s': in_5s}

    def scaled(self, scale):
        """A smaller one, for a quick look."""
        bars = dict(self.bars)
        full = None if self.full_s is None else self.full_s * scale
        small = Scenario(self.name, self.model, bars.pop('ratio'), max(20, int(self.backlog * scale)), self.fresh_per_s, full, **bars)
        return small


SCENARIOS = [
    Scenario('B1', 'M1', 1.25, refusals=0, fresh_s=5),
    Scenario('B3', 'M2', 1.15, fresh_s=8, in_5s=60),
    Scenario('B4', 'M2b', 1.25),
    Scenario('B4c', 'M2c', 1.15),
    Scenario('B5', 'M3', 1.25, refusals=2),
    Scenario('B5s', 'S9', 1.25, refusals=10),
    Scenario('B6', 'M4', 1.25, backlog=3000, fresh_per_s=1, refusals=5),
    Scenario('B6s', 'S8', 1.25, backlog=600, fresh_per_s=0.2, refusals=12),
    Scenario('B7', 'M5', 1.20, full_s=600, first_s=12),
    Scenario('B8', 'M6', 1.35),
    Scenario('B10', 'M8', 1.20),
    Scenario('B11', 'M9', 1.15, fresh_s=5),
    Scenario('B12', 'M10', 1.20, full_s=1200, first_s=20),
]

WORDS = {
    'M1': 'healthy', 'M2': 'cold, thrashes and dies of too much', 'M2b': 'cold, slow messages at first',
    'M2c': 'dies without a warning', 'M3': '10 connections', 'S9': '2 connections', 'M4': '300 a minute and a penalty',
    'S8': '60 a minute', 'M5': 'no space at first', 'M6': 'path up 20 s, away 40 s', 'M8': '2 % of mailboxes full',
    'M9': 'other traffic takes 5 to 90 %', 'M10': '550 to everybody at first',
}
