"""
Depth from a sensor, in millimetres
===================================

A depth camera writes 16-bit integers: millimetres, and 0 where it saw nothing. The model works on [0, 1], but that is
not your business: the range is taken from the valid pixels, and the result comes back in millimetres.
"""

# %%
# A simulated sensor: the disparity of the motorcycle made into distance, reduced by 4, with its holes.
import matplotlib.pyplot as plt
import numpy as np

from mcsc.images import motorcycle
from mcsc.tasks import restore

pair = motorcycle(size=(140, 500, 128, 160))
distance = np.where(pair.mask > 0, 1500 / (0.2 + pair.x), 0)
sensor = np.rint(distance[:, 2::4, 2::4]).astype(np.uint16)
print(
    f"{sensor.shape[1:]}, {sensor[sensor > 0].min()} to {sensor.max()} mm, {np.mean(sensor == 0):.0%} unknown"
)

# %%
# The result has the type and the unit of the sensor's image. On the command line:
# ``mcsc restore depth.png photo.png --task depth-sr --mask zeros -o depth_large.png``; with ``--range 500 4500``, the range is
# given instead of found. Nothing is cut off at the ends of the range: beside thin things that stand far before their
# background, values overshoot.
r = restore(sensor, pair.guide_rgb, "depth-sr", mask=sensor > 0)
print(r.image.dtype, r.image.shape, f"{r.image.min()} to {r.image.max()} mm, gap {r.gap:.1e}")
known = pair.mask > 0
error = np.abs(r.image.astype(float) - distance)[known]
print(f"median error {np.median(error):.0f} mm")
span = int(sensor.max()) - int(sensor[sensor > 0].min())
low, high = sensor[sensor > 0].min() - 0.1 * span, sensor.max() + 0.1 * span
beyond = np.mean((r.image < low) | (r.image > high))
print(f"{beyond:.1%} of the pixels are beyond the sensor's range by more than a tenth of it")

figure, axes = plt.subplots(1, 3, figsize=(10, 2.8), layout="constrained")
shown = {
    "sensor": np.where(sensor > 0, sensor, np.nan),
    "restored": r.image,
    "true": np.where(known, distance, np.nan),
}
limits = np.quantile(distance[known], [0.01, 0.99])
for axis, (title, image) in zip(axes, shown.items(), strict=True):
    drawn = axis.imshow(image.squeeze(), cmap="viridis", vmin=limits[0], vmax=limits[1])
    axis.set(title=title, xticks=[], yticks=[])
figure.colorbar(drawn, ax=axes, label="mm")
