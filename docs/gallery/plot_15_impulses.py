"""
Salt and pepper: impulses as a group of their own
=================================================

A pixel that a sensor or a transmission has replaced is not noise of small size: it should be left out rather than averaged
in. In the model this takes one more filter, a single pixel, as the unique group of the damaged image. Where one impulse
costs less than several cosines, the impulse explains the pixel.
"""

# %%
# The red and the blue channel of a photograph; one pixel in twenty of the red one is replaced.
import matplotlib.pyplot as plt
import numpy as np
import skimage.data

import mcsc
from mcsc.images import lowpass_split

rng = np.random.default_rng(0)
image = np.asarray(skimage.data.astronaut(), dtype=np.float32)[60:124, 190:254] / 255
x, y = (lowpass_split(np.ascontiguousarray(image[..., c])).high for c in (0, 2))
hit = rng.random(x.shape) < 0.05
noisy = np.where(hit, rng.choice(np.float32([-0.8, 0.8]), x.shape), x)

# %%
# Cosines for what the channels share and for what the blue one has alone; a point for the red one.
cosines = mcsc.dct_dictionary((1, 1), filter_size=6)
point = np.zeros((1, 1, 6, 6))
point[0, 0, 2, 2] = 1.0
dictionary = mcsc.Dictionary(common=cosines.common, unique=(point, cosines.unique[1]))
result = mcsc.solve((noisy, y), dictionary, lam=0.1, tol=1e-3)
impulses = result.codes.unique[0][0, 0]
print(f"{np.mean((impulses != 0)[hit]):.0%} of the impulses found")
print(f"{np.mean((impulses != 0)[~hit]):.2%} of the other pixels taken for an impulse")

# %%
# The red channel without the impulses is the part that it shares with the blue one. The l1 norm makes large impulses
# smaller than they are; :func:`mcsc.reweighted` solves again with less weight on coefficients that were large.
again = mcsc.reweighted((noisy, y), dictionary, lam=0.1, rounds=3, tol=1e-3)
parts = [mcsc.signal_parts(codes, dictionary)[0] for codes in (result.codes, again.codes)]
for name, picture in (("noisy", noisy), ("once", parts[0].common), ("reweighted", parts[1].common)):
    print(f"{name}: RMSE {np.sqrt(np.mean((picture.reshape(x.shape) - x) ** 2)):.4f}")

# %%
pictures = {"red channel": x, "with impulses": noisy, "common part": parts[0].common}
figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
    axis.imshow(picture.reshape(x.shape), cmap="gray", vmin=-0.4, vmax=0.4)
    axis.set(title=title, xticks=[], yticks=[])
