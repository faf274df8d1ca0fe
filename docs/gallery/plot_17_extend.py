"""
Your own task, rule, baseline and measure
=========================================

Tasks, fusion rules, solvers, baselines, measures and methods stand in tables. A new one is one entry, added by
a script - or by an *entry point* in the ``pyproject.toml`` of a package of yours; then the command line knows it
too, and lists it in its help.
"""

# %%
# A task of our own: a thermal camera of half the resolution, guided by a photograph. It needs synthetic pairs
# only if it is to be learned or evaluated on them.
import numpy as np

from mcsc.baselines.table import BASELINES, Baseline
from mcsc.images import degrade
from mcsc.quality.measures import MEASURES, Measure
from mcsc.tasks import RULES, TASKS, Blend, Rule, Task, evaluate, fuse, synthetic_scenes


class ThermalPair:
    """A warm square on a cold wall, seen by a camera for heat and by one for light."""

    def __init__(self, number, shape, seed):
        rng = np.random.default_rng([number, seed])
        top, left = rng.integers(8, 24, 2)
        self.target = np.full((1, *shape), 0.2, np.float32)
        self.target[:, top : top + 32, left : left + 32] = 0.9
        self.y = np.repeat(1 - self.target, 3, axis=0)
        self.x = degrade(self.target, 2)


TASKS.add(
    "thermal-sr",
    Task(
        "thermal-sr", "Thermal images", "restoration", (("heat",), ("rgb",)), ThermalPair,
        base="input", lam=0.05, factor=2, measured_by=("mean error", "PSNR"),
    ),
)  # fmt: skip


# %%
# A baseline is a function of the enlarged image and the guide; a measure, one of result and truth.
def shared_detail(x, y, share=0.25):
    """Mix in the photograph's negative: what is bright is cold here."""
    return (1 - share) * x + share * (1 - y.mean(axis=0, keepdims=True))


def mean_error(image, target):
    """Mean error in grey levels of 255."""
    return 255 * float(np.mean(np.abs(image - target)))


BASELINES.add("negative", Baseline("restoration", shared_detail, super_resolution=True))
MEASURES.add(
    "mean error", Measure("mean error", "restoration", mean_error, larger_is_better=False, digits=2)
)
scenes = synthetic_scenes(TASKS["thermal-sr"], 3, (64, 64))
table = evaluate(scenes, "thermal-sr", ["bicubic", "negative", "guided-filter"])
for method in ("bicubic", "negative", "guided-filter"):
    print(f"{method:14}", {name: round(value, 2) for name, value in table.mean(method).items()})


# %%
# A fusion rule makes an image of a coded pair. This one takes the darker source.
def darker(pair):
    """The darker of the two sources at each pixel."""
    return Blend(np.minimum(*pair.sources), pair.splits[0].low)


RULES.add("darker", Rule(darker, "the darker of the two sources"))
first, second = ThermalPair(0, (64, 64), 7), ThermalPair(1, (64, 64), 7)
fused = fuse([first.target, second.target], "medical", rule="darker")
print(
    "the darker of both:",
    np.allclose(fused.image, np.minimum(first.target, second.target), atol=1e-6),
)

# %%
# From a package, the same is one line in ``pyproject.toml``:
#
# .. code-block:: toml
#
#     [project.entry-points."mcsc.tasks"]
#     thermal-sr = "my_package.tasks:thermal_sr"
