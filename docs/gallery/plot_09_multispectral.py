"""
Multispectral bands
===================

A multispectral camera has many bands and few pixels; a colour camera the opposite. Each band is enlarged with
the photograph as guide. Any number of bands goes in, as one array.
"""

# %%
# Five bands of a synthetic scene, mixed from its linear light as broad filters would mix it, and reduced to a quarter of
# the size.
import matplotlib.pyplot as plt
import numpy as np

from mcsc.images import degrade, imresize
from mcsc.quality.full_reference import psnr
from mcsc.synthetic import make_scene
from mcsc.tasks import restore

scene = make_scene((128, 128), seed=22)
centres = np.linspace(0, 2, 5)[:, None]
filters = np.exp(-((centres - np.arange(3)) ** 2) / 0.5)
filters /= filters.sum(axis=1, keepdims=True)
target = np.einsum("bc,chw->bhw", filters, scene.light.clip(0, 1)).astype(np.float32)
small = imresize(target, 0.25)
print("bands:", small.shape, "guide:", scene.colour.shape)

# %%
result = restore(small, scene.colour, "multispectral-sr")
bicubic = degrade(target, 4)
for number in range(len(target)):
    before, after = (
        psnr(i[number : number + 1], target[number : number + 1]) for i in (bicubic, result.image)
    )
    print(f"band {number}: bicubic {before:.2f} dB, mcsc {after:.2f} dB")

# Bands are linear light; a gamma curve shows them as a screen expects.
figure, axes = plt.subplots(2, 2, figsize=(7, 7.2), layout="constrained")
shown = {"band 2, bicubic": bicubic[2], "restored": result.image[2], "true": target[2]}
for axis, (title, image) in zip(axes.flat, shown.items(), strict=False):
    axis.imshow(np.clip(image, 0, 1) ** (1 / 2.2), cmap="gray", vmin=0, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])
axes[1, 1].imshow(scene.colour.transpose(1, 2, 0))
axes[1, 1].set(title="guide", xticks=[], yticks=[])
