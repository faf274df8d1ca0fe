"""
Exact decomposition, with its certificate
=========================================

Two registered images of one scene share structure and each have structure of their own. Here they are
a measured disparity map (inverse depth, with holes) and a photograph of a motorcycle. We code both
with one set of *common* and two sets of *unique* sparse feature maps (Eq. 5 of :cite:t:`deng2021`),
and read the proof that the solution is the optimum.
"""

# %%
# The pair comes with scikit-image. Sparse codes describe *detail*, so each image is first split into a
# smooth low-pass part and the rest; pixels that were never measured are left out of both steps.
import matplotlib.pyplot as plt
import numpy as np

import mcsc
from mcsc.images import lowpass_split, motorcycle

pair = motorcycle(size=(140, 500, 128, 160))
x = lowpass_split(pair.x, mask=pair.mask)
y = lowpass_split(pair.y)
signals, masks = (x.high, y.high), (pair.mask, None)
print(pair.description)

# %%
# A bank of cosines needs no training. ``lam`` weighs sparsity against fidelity; it is best given as a
# share of ``lambda_max``, the smallest value for which all codes are zero. The first solution of a machine compiles the
# solver's kernels, some seconds that later ones do not take; so a corner of the images goes first.
dictionary = mcsc.dct_dictionary(channels=(1, 1))
lam = 0.03 * mcsc.lambda_max(signals, dictionary, masks=masks)
corner = (..., slice(0, 48), slice(0, 48))
mcsc.solve(
    tuple(s[corner] for s in signals), dictionary, lam, masks=(pair.mask[corner], None), tol=1e-4
)
result = mcsc.solve(signals, dictionary, lam, masks=masks, tol=1e-4)
print(f"{result.method}: {result.iterations} iterations, {result.seconds:.1f} s")
print(f"objective {result.objective:.6f}, certified relative gap {result.gap:.1e}")
print(f"{result.codes.nnz} nonzero coefficients of {result.codes.size}")

# %%
# The gap is a proof, not a guess: the objective of *any* codes is at least ``dual_bound``.
print(f"no codes have an objective below {result.dual_bound:.6f}")
plt.figure(figsize=(6, 3.2), layout="constrained")
seconds = np.array(result.history.seconds)
plt.semilogy(seconds, result.history.gap, "o-")
plt.xlabel("seconds")
plt.ylabel("certified relative gap")
plt.title("Every evaluation of the certificate")

# %%
# What the images share, and what each has alone. The common part holds the outlines of objects, which
# both images show; the unique part of the photograph holds its texture, which the disparity map does not show.
depth, photograph = mcsc.signal_parts(result.codes, dictionary)
panels = {
    "disparity": pair.x,
    "its common part": depth.common,
    "its unique part": depth.unique[0],
    "photograph": pair.y,
    "its common part ": photograph.common,
    "its unique part ": photograph.unique[1],
}
# sphinx_gallery_thumbnail_number = 2
figure, axes = plt.subplots(2, 3, figsize=(9, 5), layout="constrained")
for axis, (title, image) in zip(axes.flat, panels.items(), strict=True):
    image = np.asarray(image).squeeze()
    spread = np.abs(image).max() * 0.6
    limits = (0, 1) if "part" not in title else (-spread, spread)
    axis.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1])
    axis.set(title=title.strip(), xticks=[], yticks=[])

# %%
# Low-pass part and all parts together give the image back, and fill its holes.
filled = (x.low + depth.common + depth.unique[0]).squeeze()
known = pair.mask.squeeze() > 0
error = np.abs(filled - pair.x.squeeze())[known].mean() * 255
print(f"mean error where the disparity is known: {error:.2f} grey levels of 255")
