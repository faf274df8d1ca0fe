"""
Flash and no flash
==================

An ambient photograph in dim light is noisy; a flash photograph of the same scene is not, but its light is
wrong. Guided denoising keeps the light of the first and takes the detail of the second - unless the detail is
the flash's own: highlights and shadows that only the flash image has must not come along.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from mcsc.quality.full_reference import psnr
from mcsc.synthetic import scenes
from mcsc.tasks import restore

pair = next(iter(scenes("flash", 1, shape=(160, 160), seed=12, sigma=50 / 255)))
results = {
    "guided filter": restore(pair.x, pair.y, "flash-denoise", method="guided-filter").image,
    "mcsc": restore(pair.x, pair.y, "flash-denoise").image,
    "cunet": restore(pair.x, pair.y, "flash-denoise", method="cunet").image,
}
shown = {"ambient, sigma 50": pair.x, "flash": pair.y, "true ambient": pair.target, **results}
figure, axes = plt.subplots(2, 3, figsize=(9, 6.4), layout="constrained")
for axis, (title, image) in zip(axes.flat, shown.items(), strict=True):
    axis.imshow(np.clip(image, 0, 1).transpose(1, 2, 0))
    quality = "" if title in ("flash", "true ambient") else f"\n{psnr(image, pair.target):.2f} dB"
    axis.set(title=title + quality, xticks=[], yticks=[])

# %%
# A guide has its price where the two lights disagree. The error over the whole image, and over the tenth of the pixels
# in which the flash photograph differs most from the true ambient image:
disagree = np.abs(pair.y - pair.target).mean(axis=0)
where = disagree > np.quantile(disagree, 0.9)
for name, image in results.items():
    error = 255 * np.abs(image - pair.target).mean(axis=0)
    print(
        f"{name:14} mean error {error.mean():5.2f}, where the lights disagree {error[where].mean():5.2f}"
    )
