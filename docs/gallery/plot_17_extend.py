"""
Your own task, method, rule, solver, baseline and measure
=========================================================

Everything that can be chosen by a name stands in a table: tasks, methods, fusion rules, solvers, baselines and
measures. A script adds an entry by one call; a package of yours adds it by an *entry point* in its ``pyproject.toml``.
The command line reads the same tables, so it knows the new name and lists it in its help.
"""

# %%
# A task
# ------
# A thermal camera of half the resolution, guided by a photograph. Files of a scene are called ``SCENE_heat.png`` and
# ``SCENE_rgb.png``. Synthetic pairs, as made by this class, are needed only to learn or to evaluate on them.
import matplotlib.pyplot as plt
import numpy as np

import mcsc
from mcsc.baselines.table import BASELINES, Baseline
from mcsc.images import degrade, imresize
from mcsc.model.convolution import adjoint, forward
from mcsc.quality.measures import MEASURES, Measure
from mcsc.solvers import SOLVERS, DenseSolver
from mcsc.tasks import (
    METHODS,
    RULES,
    TASKS,
    Blend,
    Rule,
    Task,
    evaluate,
    fuse,
    restore,
    synthetic_scenes,
)


class ThermalPair:
    """A warm square on a cold wall, seen by a camera for heat and by one for light."""

    def __init__(self, number, shape, seed):
        rng = np.random.default_rng([number, seed])
        side = shape[0] // 2
        top, left = rng.integers(side // 4, side * 3 // 4, 2)
        self.target = np.full((1, *shape), 0.2, np.float32)
        self.target[:, top : top + side, left : left + side] = 0.9
        grain = 0.01 * rng.standard_normal((1, *shape), dtype=np.float32)
        self.y = np.repeat(np.clip(1 - self.target + grain, 0, 1), 3, axis=0)
        self.x = degrade(self.target, 2)


TASKS.add(
    "thermal-sr",
    Task(
        "thermal-sr", "Thermal images", "restoration", (("heat",), ("rgb",)), ThermalPair,
        base="input", lam=0.05, factor=2, baselines={"negative": {"share": 0.25}},
        measured_by=("mean error", "PSNR"),
    ),
)  # fmt: skip


# %%
# A baseline and a measure
# ------------------------
# A baseline is a function of the enlarged image and the guide. A measure is a function of the result and the true image.
def negative(x, y, share=0.5):
    """Mix in the negative of the photograph: what is dark there is warm."""
    return (1 - share) * x + share * (1 - y.mean(axis=0, keepdims=True))


def mean_error(image, target):
    """Mean absolute error in grey levels of 255."""
    return 255 * float(np.mean(np.abs(image - target)))


BASELINES.add("negative", Baseline("restoration", negative, super_resolution=True))
MEASURES.add(
    "mean error", Measure("mean error", "restoration", mean_error, larger_is_better=False, digits=2)
)


# %%
# A method
# --------
# A method is made for a task and, if the caller names one, from a file of weights. Its ``options`` say which settings it
# takes; one that the caller sets and the method lacks is refused.
class EdgesOfTheGuide:
    """Add what the photograph would lose by being as small as the thermal image."""

    name = "guide-edges"
    options = frozenset({"factor"})

    def __init__(self, task, weights):
        self.strength = 1.0 if weights is None else float(weights)

    def __call__(self, x, y, *, factor):
        warm = 1 - y.mean(axis=0, keepdims=True)
        return x + self.strength * (warm - imresize(imresize(warm, 1 / factor), factor))


METHODS.add("guide-edges", EdgesOfTheGuide)


# %%
# A fusion rule
# -------------
# A rule makes the fused image of coded sources. This one takes the darker source at each pixel.
def darker(pair):
    """The darker of the two sources at each pixel."""
    return Blend(np.minimum(*pair.sources), pair.splits[0].low)


RULES.add("darker", Rule(darker, "the darker of the two sources"))
first, second = ThermalPair(0, (64, 64), 7), ThermalPair(1, (64, 64), 7)
fused = fuse([first.target, second.target], "medical", rule="darker")
expected = np.minimum(first.target, second.target)
print(f"largest difference from the darker source: {np.abs(fused.image - expected).max():.1e}")


# %%
# A solver
# --------
# A solver is a state with a ``step``. Timing, the certificate, stopping, history, callbacks and Ctrl-C come from the loop
# that all solvers share. This one takes proximal gradient steps with a constant momentum (the heavy ball).
@SOLVERS.register
class HeavyBall(DenseSolver):
    """Proximal gradient steps, each with a share of the step before."""

    name = "heavy-ball"
    max_iter = 2_000
    code_arrays = 4.0  # the codes, the previous ones, the gradient, and what is temporary

    def __init__(self, problem, start):
        super().__init__(problem, start)
        self.a = self.before = self.first_maps(start)
        self.length = 1.0 / problem.lipschitz
        self.threshold = self.length * problem.lam_maps.reshape(-1, 1, 1)

    def maps(self):
        return self.a

    def step(self):
        p, xp = self.problem, self.backend.xp
        residual = p.stacked - forward(p.operator, self.backend, self.a)
        slope = adjoint(p.operator, self.backend, residual)
        b = self.a + self.length * slope + 0.9 * (self.a - self.before)
        self.before, self.a = self.a, xp.sign(b) * xp.maximum(xp.abs(b) - self.threshold, 0)


rng = np.random.default_rng(0)
signals = tuple(rng.standard_normal((2, 1, 32, 32)))
dictionary = mcsc.dct_dictionary((1, 1), filter_size=6)
lam = 0.5 * mcsc.lambda_max(signals, dictionary)
for name in ("heavy-ball", "working-set"):
    result = mcsc.solve(signals, dictionary, lam, method=name, tol=1e-2)
    print(
        f"{name:12} {result.iterations:4} iterations, gap {result.gap:.1e}, objective {result.objective:.3f}"
    )

# %%
# From a package
# --------------
# In a package of yours, each of these calls is one line of ``pyproject.toml``. The groups are ``mcsc.tasks``,
# ``mcsc.methods``, ``mcsc.rules``, ``mcsc.solvers``, ``mcsc.baselines``, ``mcsc.measures``, and ``mcsc.commands`` for commands
# of ``mcsc``:
#
# .. code-block:: toml
#
#     [project.entry-points."mcsc.tasks"]
#     thermal-sr = "my_package.tasks:thermal_sr"
#
# All of it in use
# ----------------
# The new task, measured by the new measure, with the new baseline and the new method beside others:
table = evaluate(
    synthetic_scenes(TASKS["thermal-sr"], 3, (64, 64)),
    "thermal-sr",
    ["bicubic", "guided-filter", "negative", "guide-edges"],
)
for method in ("bicubic", "guided-filter", "negative", "guide-edges"):
    print(f"{method:14}", {name: round(value, 2) for name, value in table.mean(method).items()})

small = imresize(first.target, 0.5)
shown = {"photograph": first.y.mean(axis=0), "thermal image": small[0], "true": first.target[0]}
for method in ("bicubic", "negative", "guide-edges"):
    image = restore(small, first.y, "thermal-sr", method=method).image
    shown[f"{method}\nmean error {mean_error(image, first.target):.2f} of 255"] = image[0]
figure, axes = plt.subplots(2, 3, figsize=(8, 5.6), layout="constrained")
for axis, (title, image) in zip(axes.flat, shown.items(), strict=True):
    axis.imshow(image, cmap="gray" if title == "photograph" else "inferno", vmin=0, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])
