"""
Learn a coupled dictionary and look at its atoms
================================================

Filters made of cosines know nothing of images. A *coupled* dictionary is learned from pairs: each common atom
has one filter for each image, and the two filters show how the same edge looks in both images.
"""

# %%
# Twelve small synthetic scenes, each under ambient light and under flash light, as luma. Only the detail is coded. Real
# work takes more and larger images; ``mcsc learn`` does the same on files.
import matplotlib.pyplot as plt
import numpy as np

import mcsc
from mcsc.images import lowpass_split, luma_full
from mcsc.synthetic import scenes


def detail(pair):
    """Detail of the ambient and of the flash image, without noise."""
    return tuple(lowpass_split(luma_full(image), 5.0).high for image in (pair.target, pair.y))


training = [detail(pair) for pair in scenes("flash", 12, shape=(96, 96), seed=4)]

# %%
learned = mcsc.learn(
    training, lam=0.1, n_common=12, n_unique=12, filter_size=8, window=48, passes=3, seed=0
)
print(learned.dictionary)
print(f"objective {learned.history.objective[0]:.2f} -> {learned.history.objective[-1]:.2f}")

# %%
# The common atoms, most used first. Each is a pair of filters: how it looks under ambient light, and, below that, under
# flash light. Most are edges in both, at the same place and in the same direction, but each with its own contrast.
common = learned.dictionary.common
order = np.argsort(-learned.use[: len(common[0])])
figure, axes = plt.subplots(4, 6, figsize=(7, 4.9), layout="constrained")
for row, (bank, name) in enumerate(zip(common, ("ambient", "flash"), strict=True)):
    limit = np.abs(bank).max()
    for place, atom in enumerate(order):
        axis = axes[2 * (place // 6) + row, place % 6]
        axis.imshow(bank[atom, 0], cmap="RdBu_r", vmin=-limit, vmax=limit)
        axis.set(xticks=[], yticks=[])
    axes[row, 0].set_ylabel(name)
    axes[row + 2, 0].set_ylabel(name)

# %%
# Is the learned dictionary better than about as many cosines? On a pair that it was not learned from, with the same lam:
new = detail(next(iter(scenes("flash", 1, shape=(96, 96), seed=99))))
for name, dictionary in {
    "cosines": mcsc.dct_dictionary(channels=(1, 1), atoms_per_axis=3),
    "learned": learned.dictionary,
}.items():
    result = mcsc.solve(new, dictionary, 0.1, tol=1e-3)
    print(
        f"{name}: {dictionary.n_maps} maps, objective {result.objective:.3f}, {result.codes.nnz} nonzeros"
    )
