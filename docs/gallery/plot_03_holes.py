"""
Holes and masks
===============

A depth sensor does not see everything. A mask says which pixels are known: the others have weight 0 in the
objective, so they neither count nor leak into their neighbours, and the model fills them.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from mcsc.images import motorcycle
from mcsc.tasks import restore

pair = motorcycle(size=(140, 500, 128, 160))
rng = np.random.default_rng(0)
known = pair.mask.copy()
known[:, 30:70, 90:110] = 0  # a block that we know, but hide
known[rng.random(known.shape) < 0.3] = 0  # and three pixels of ten at random
print(f"{100 * (1 - known.mean()):.0f} % of the pixels are hidden")

# %%
# ``restore`` takes the mask with the image. The task is depth super-resolution; with a factor of 1 it fills
# holes and enlarges nothing. What stands in the holes does not matter; here it is 0.
result = restore(pair.x * known, pair.guide_rgb, "depth-sr", mask=known, factor=1)
hidden = (pair.mask > 0) & (known == 0)
rms = 255 * float(np.sqrt(np.mean((result.image - pair.x)[hidden] ** 2)))
print(f"gap {result.gap:.1e}; error in hidden pixels {rms:.2f} grey levels of 255")

figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
shown = {"seen": np.where(known > 0, pair.x, np.nan), "filled": result.image, "true": pair.x}
for axis, (title, image) in zip(axes, shown.items(), strict=True):
    axis.imshow(image.squeeze(), cmap="viridis", vmin=0, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])

# %%
# On the command line the same is ``mcsc restore depth.png photo.png --task depth-sr --mask zeros``: pixels of
# the depth map that are 0 are unknown. NaN and Inf always are.
