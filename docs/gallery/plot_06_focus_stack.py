"""
A focus stack of many frames
============================

Lenses blur what is not in their plane of focus. A stack of photographs, each focused elsewhere, shows everything
sharp somewhere. Three frames or more are coded as *one* problem: one common code, one unique code a frame, one
certificate.
"""

# %%
# Three frames from a synthetic photograph: each is sharp in one third and blurred elsewhere, by a soft transition.
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter

from mcsc.quality.full_reference import psnr
from mcsc.synthetic import make_scene
from mcsc.tasks import fuse

sharp = make_scene((128, 192), seed=40).colour
blurred = gaussian_filter(sharp, (0, 2.0, 2.0))
place = np.arange(192) / 192
frames = []
for centre in (1 / 6, 1 / 2, 5 / 6):
    weight = 1 / (1 + np.exp((np.abs(place - centre) - 1 / 6) * 60))
    frames.append((weight * sharp + (1 - weight) * blurred).astype(np.float32))

# %%
# On the command line: ``mcsc fuse frame0.jpg frame1.jpg frame2.jpg --task multi-focus --align -o sharp.tif``. The result
# does not depend on the order of the frames, and it says which frame was chosen at each pixel.
fused = fuse(frames, "multi-focus")
print(f"certified gap {fused.gap:.1e}, {fused.seconds:.1f} s, {len(fused.unique)} unique parts")
other = fuse(frames[::-1], "multi-focus")
print(
    f"the other way round, the image differs by {np.abs(fused.image - other.image).max():.1e} at most"
)

figure, axes = plt.subplots(2, 3, figsize=(9, 4.9), layout="constrained")
shown = {f"frame {n}": frame for n, frame in enumerate(frames)} | {"fused": fused.image}
for axis, (title, image) in zip(axes.flat, shown.items(), strict=False):
    axis.imshow(np.clip(image, 0, 1).transpose(1, 2, 0))
    axis.set_title(f"{title}: {psnr(np.clip(image, 0, 1), sharp):.2f} dB")
axes[1, 1].imshow(fused.index, cmap="viridis")
axes[1, 1].set_title("number of the frame chosen")
axes[1, 2].imshow(sharp.transpose(1, 2, 0))
axes[1, 2].set_title("true")
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])
