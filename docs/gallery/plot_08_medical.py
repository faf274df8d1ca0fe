"""
Medical slices
==============

Two magnetic resonance images of one head, weighted by T1 and by T2, show different tissues. Here they are
synthetic slices; files of a scanner are read and written the same way.
"""

# %%
import matplotlib.pyplot as plt

from mcsc.quality.no_reference import mutual_information, qabf
from mcsc.synthetic import scenes
from mcsc.tasks import fuse

pair = next(iter(scenes("medical", 1, shape=(192, 160), seed=5)))
fused = fuse([pair.x, pair.y], "medical")
print(f"certified gap {fused.gap:.1e} after {fused.seconds:.1f} s")

# %%
# What both slices show and what each shows alone are results of their own: they say *where* the two sequences
# disagree. The fused image has, in each place, the detail of the slice of which the codes make the stronger edges there.
shown = {
    "like T1": pair.x,
    "like T2": pair.y,
    "common part": fused.common,
    "unique to T1": fused.unique[0],
    "unique to T2": fused.unique[1],
    "fused": fused.image,
}
figure, axes = plt.subplots(2, 3, figsize=(8, 6.4), layout="constrained")
for axis, (title, image) in zip(axes.flat, shown.items(), strict=True):
    limits = (-0.3, 0.3) if "part" in title or "unique" in title else (0, 1)
    axis.imshow(image.squeeze(), cmap="gray", vmin=limits[0], vmax=limits[1])
    axis.set(title=title, xticks=[], yticks=[])

# %%
# Measures of fusion need no true image. For both of these, higher is better. The mean of the images halves the
# contrast of an edge that only one of them shows.
mean = fuse([pair.x, pair.y], "medical", method="mean")
sources = [pair.x[0], pair.y[0]]
for name, image in {"mean": mean.image[0], "mcsc": fused.image[0].clip(0, 1)}.items():
    edges, information = qabf(image, sources), mutual_information(image, sources)
    print(f"{name:5} edges kept (QABF) {edges:.3f}, mutual information {information:.2f} bits")
