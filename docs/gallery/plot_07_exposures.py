"""
An exposure bracket
===================

Two photographs of one scene, one too bright and one too dark. The fused image takes from each what it
shows well; what the two share is coded once.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from mcsc.quality.no_reference import qabf
from mcsc.synthetic import scenes
from mcsc.tasks import fuse

pair = next(iter(scenes("exposure", 1, shape=(160, 200), seed=8)))
fused = fuse([pair.x, pair.y], "multi-exposure")
plain = fuse([pair.x, pair.y], "multi-exposure", method="exposure-fusion")
print(f"certified gap {fused.gap:.1e}, {100 * fused.nonzero:.2f} % of the coefficients nonzero")

shown = {
    "over-exposed": pair.x,
    "under-exposed": pair.y,
    "exposure fusion": plain.image,
    "mcsc": fused.image,
}
figure, axes = plt.subplots(2, 2, figsize=(8, 6.8), layout="constrained")
for axis, (title, image) in zip(axes.flat, shown.items(), strict=True):
    axis.imshow(np.clip(image, 0, 1).transpose(1, 2, 0))
    axis.set(title=title, xticks=[], yticks=[])

# %%
# How much of the edges of the sources the fused images keep: the measure :math:`Q^{AB/F}` of Xydeas and Petrovic, here of
# the luma; 1 means all of them.
from mcsc.images import luma_full

sources = [luma_full(image)[0] for image in (pair.x, pair.y)]
for title in ("exposure fusion", "mcsc"):
    fused_luma = luma_full(np.clip(shown[title], 0, 1))[0]
    print(f"{title:16} {qabf(fused_luma, sources):.3f}")
