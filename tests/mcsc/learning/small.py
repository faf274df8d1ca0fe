"""Learning that takes a second, for the tests of this folder."""

from dataclasses import fields

import mcsc

SMALL = {
    "lam": 0.3,
    "n_common": 4,
    "n_unique": 3,
    "filter_size": 5,
    "window": 24,
    "batch_size": 2,
    "seed": 3,
}
_RARE = {f.name for f in fields(mcsc.LearnOptions)}


def learn(signals, targets=None, **changes):
    """`mcsc.learn` with these settings, whether they are its own or of its options."""
    settings = SMALL | changes
    options = mcsc.LearnOptions(**{k: settings.pop(k) for k in list(settings) if k in _RARE})
    return mcsc.learn(signals, targets, options=options, **settings)


def banks(dictionary):
    return [g.bank for g in dictionary.groups]
