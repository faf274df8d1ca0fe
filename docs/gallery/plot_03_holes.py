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
from mcsc.tasks import decompose, restore

pair = motorcycle(size=(140, 500, 128, 160))
rng = np.random.default_rng(0)
known = pair.mask.copy()
known[:, 30:70, 90:110] = 0  # a block that we know, but hide
known[rng.random(known.shape) < 0.3] = 0  # and three pixels of ten at random
hidden = (pair.mask > 0) & (known == 0)
print(f"{100 * (1 - known.mean()):.0f} % of the pixels are hidden")

# %%
# ``decompose`` splits the images, codes their detail, and puts the parts together again. What stands in the holes does
# not matter.
found = decompose([pair.x * known, pair.y], masks=[known, None], lam_relative=0.02)
filled = found.parts[0].reconstruction
rms = 255 * float(np.sqrt(np.mean((filled - pair.x)[hidden] ** 2)))
print(f"gap {found.result.gap:.1e}; error in hidden pixels {rms:.2f} grey levels of 255")

figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
shown = {"seen": np.where(known > 0, pair.x, np.nan), "filled": filled}
shown["true"] = np.where(pair.mask > 0, pair.x, np.nan)
for axis, (title, image) in zip(axes, shown.items(), strict=True):
    axis.imshow(image.squeeze(), cmap="viridis", vmin=0, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])

# %%
# ``restore`` takes a mask too: the holes of a small map are left out of the problem while it is enlarged. On the command
# line: ``mcsc restore depth.png photo.png --task depth-sr --mask zeros -o large.png``. There, pixels of the depth map that are
# 0 are unknown; those that are NaN or infinite always are.
small, small_known = pair.x[:, 2::4, 2::4], pair.mask[:, 2::4, 2::4]
restored = restore(small, pair.guide_rgb, "depth-sr", mask=small_known)
where = pair.mask > 0
error = 255 * np.median(np.abs(restored.image - pair.x)[where])
print(
    f"{100 * (1 - small_known.mean()):.0f} % hidden, four times larger: median error {error:.2f} of 255"
)
