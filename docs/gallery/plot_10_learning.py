"""
Learn a coupled dictionary and look at its atoms
================================================

Filters made of cosines know nothing of images. A *coupled* dictionary is learned from pairs: each common atom
has one filter for every image, and the pair of filters says how an edge of one looks in the other.
"""

# %%
# Eight small synthetic pairs of depth and photograph, their detail only. Real work takes more and larger ones;
# ``mcsc learn`` does the same on files.
import matplotlib.pyplot as plt
import numpy as np

import mcsc
from mcsc.images import lowpass_split, luma_studio
from mcsc.synthetic import scenes

pairs = list(scenes("depth", 8, shape=(96, 96), seed=4))
scenes_of_two = [
    (lowpass_split(pair.target, 5.0).high, lowpass_split(luma_studio(pair.y), 5.0).high)
    for pair in pairs
]

# %%
learned = mcsc.learn(
    scenes_of_two, lam=0.1, n_common=12, n_unique=12, filter_size=8, window=48, passes=3, seed=0
)
print(learned.dictionary)
print(f"objective {learned.history.objective[0]:.2f} -> {learned.history.objective[-1]:.2f}")

# %%
# The common atoms, most used first. Each is a pair of filters: above, how it looks in depth, and below, how it looks in
# the photograph. Most are edges in both, at the same place and in the same direction, but each with its own contrast, and
# sometimes of opposite sign.
common = learned.dictionary.common
order = np.argsort(-learned.use[: len(common[0])])
figure, axes = plt.subplots(4, 6, figsize=(7, 4.9), layout="constrained")
for row, (bank, name) in enumerate(zip(common, ("depth", "photo"), strict=True)):
    limit = np.abs(bank).max()
    for place, atom in enumerate(order):
        axis = axes[2 * (place // 6) + row, place % 6]
        axis.imshow(bank[atom, 0], cmap="RdBu_r", vmin=-limit, vmax=limit)
        axis.set(xticks=[], yticks=[])
    axes[row, 0].set_ylabel(name)
    axes[row + 2, 0].set_ylabel(name)

# %%
# Is the learned dictionary better than cosines? On a pair that it was not learned from, with the same lam:
new = next(iter(scenes("depth", 1, shape=(96, 96), seed=99)))
signals = (lowpass_split(new.target, 5.0).high, lowpass_split(luma_studio(new.y), 5.0).high)
for name, dictionary in {
    "cosines": mcsc.dct_dictionary(channels=(1, 1)),
    "learned": learned.dictionary,
}.items():
    result = mcsc.solve(signals, dictionary, 0.1, tol=1e-3)
    print(
        f"{name}: {dictionary.n_maps} maps, objective {result.objective:.3f}, {result.codes.nnz} nonzeros"
    )
