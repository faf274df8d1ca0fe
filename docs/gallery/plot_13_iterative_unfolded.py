"""
Iterative against unfolded, on one axis
=======================================

How good is an image after how many seconds? Exact coding can be stopped at any duality gap; an unfolded network takes its
few iterations and no more. This page runs both on one synthetic scene, on the machine that built the page.
"""

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator

from mcsc.quality.full_reference import rmse
from mcsc.synthetic import scenes
from mcsc.tasks import restore

pair = next(iter(scenes("depth", 1, shape=(160, 160), seed=31)))
restore(pair.x, pair.y, "depth-sr", tol=0.5)  # compile and load before the clock starts
restore(pair.x, pair.y, "depth-sr", method="cunet")


def timed(**options):
    """Seconds and error of a restoration."""
    start = time.perf_counter()
    found = restore(pair.x, pair.y, "depth-sr", **options)
    return time.perf_counter() - start, rmse(found.image, pair.target)


points = {f"mcsc, gap {tol:g}": timed(tol=tol) for tol in (0.3, 0.1, 0.03, 0.01, 0.003)}
points["cunet"] = timed(method="cunet")
points["guided filter"] = timed(method="guided-filter")

# %%
figure, axis = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
exact = np.array([p for name, p in points.items() if name.startswith("mcsc")])
axis.semilogx(*exact.T, "o-", label="mcsc, gap 0.3 to 0.003")
for name, marker in {"cunet": "s", "guided filter": "^"}.items():
    axis.semilogx(*points[name], marker, markersize=9, label=name)
axis.axhline(rmse(pair.x, pair.target), color="0.5", linestyle=":", label="bicubic")
axis.set(xlabel="seconds", ylabel="error, grey levels of 255")
axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
axis.xaxis.set_major_formatter("{x:g}")
axis.xaxis.set_minor_formatter("")
axis.legend()
for name, (seconds, error) in points.items():
    print(f"{name:15} {seconds:6.2f} s  {error:5.2f} of 255")
