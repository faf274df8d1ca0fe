"""
Thousands of scenes with Dask
=============================

On the command line, ``mcsc restore DIR --task depth-sr -o OUT`` restores every scene of a folder on the workers of a Dask
cluster - by default, one process for each core of this machine. This page does the same for a function of its own.
"""

# %%
# This client works with threads, so that the page needs no cluster; ``Client("tcp://host:8786")`` would use one that is
# running already.
import matplotlib.pyplot as plt
from distributed import Client

from mcsc.distributed import Scene, map_scenes
from mcsc.quality.full_reference import rmse
from mcsc.synthetic import scenes
from mcsc.tasks import restore


def improved(x, y, target):
    """Errors of bicubic interpolation and of the restoration."""
    found = restore(x, y, "depth-sr", tol=0.05)
    return rmse(x, target), rmse(found.image, target)


work = [
    Scene(f"scene{n}", (pair.x, pair.y, pair.target))
    for n, pair in enumerate(scenes("depth", 6, shape=(64, 64), seed=2))
]
work.append(Scene("broken", (work[0].inputs[0][:, :30], *work[0].inputs[1:])))

# %%
# Each scene is one Dask future. The broken one fails alone, its reason is listed, and all others are finished.
with Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as client:
    table = map_scenes(improved, work, client=client)
for outcome in table.outcomes:
    print(outcome.name, outcome.status, outcome.reason[:70])

# %%
done = [o for o in table.outcomes if o.value is not None]
plt.figure(figsize=(6, 3), layout="constrained")
for column, label in enumerate(("bicubic", "restored")):
    places = [n + 0.4 * column for n in range(len(done))]
    plt.bar(places, [o.value[column] for o in done], width=0.4, label=label)
plt.xticks([n + 0.2 for n in range(len(done))], [o.name for o in done])
plt.ylabel("error, grey levels of 255")
plt.legend()
print(f"{len(done)} of {len(table.outcomes)} scenes in {table.seconds:.1f} s")
