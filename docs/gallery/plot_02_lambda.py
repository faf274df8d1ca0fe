"""
Choosing lam
============

``lam`` is the :math:`\\lambda` of the written objective; nothing is rescaled behind it. There are three
ways to choose it: as a share of ``lambda_max``, along a path, or from the noise level.
"""

# %%
# A flash and a noisy ambient photograph of a synthetic scene, as luma.
import matplotlib.pyplot as plt
import numpy as np

import mcsc
from mcsc.images import lowpass_split, luma_full
from mcsc.synthetic import scenes

sigma = 25 / 255
pair = next(iter(scenes("flash", 1, shape=(96, 96), seed=3, sigma=sigma)))
ambient, flash, clean = (luma_full(image) for image in (pair.x, pair.y, pair.target))
x, y = lowpass_split(ambient, 5.0), lowpass_split(flash, 5.0)
dictionary = mcsc.dct_dictionary(channels=(1, 1))
largest = mcsc.lambda_max((x.high, y.high), dictionary)
print(f"lambda_max = {largest:.3f}: from there on, all codes are zero")

# %%
# A path: each problem starts from the solution of the problem before it, so that all of them together take little longer
# than the last one alone.
shares = np.geomspace(0.6, 0.03, 8)
path = mcsc.solve_path((x.high, y.high), dictionary, largest * shares, tol=1e-3)
errors = []
for result in path:
    image = x.low + mcsc.reconstruct(result.codes, dictionary).image
    errors.append(255 * float(np.sqrt(np.mean((image - clean) ** 2))))
counts = [result.codes.nnz for result in path]
best = int(np.argmin(errors))

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.semilogx(shares, errors, "o-")
left.set(xlabel="lam / lambda_max", ylabel="error, grey levels of 255")
right.loglog(shares, counts, "o-", color="C1")
right.set(xlabel="lam / lambda_max", ylabel="nonzero coefficients")
for axis in (left, right):
    axis.set_xticks([0.03, 0.1, 0.3, 0.6], ["0.03", "0.1", "0.3", "0.6"])
    axis.minorticks_off()

# %%
# With a small lam the codes follow the noise; with a large one detail is lost. Where the true image is unknown, the noise
# level can choose: the discrepancy principle takes the lam whose residual is as large as the noise. (Luma is a mean of
# three channels with independent noise, so its noise is smaller than theirs.)
noise = float(np.std(ambient - clean))
found = mcsc.solve_discrepancy((x.high, y.high), dictionary, (noise, 0.02))
image = x.low + mcsc.reconstruct(found.result.codes, dictionary).image
error = 255 * float(np.sqrt(np.mean((image - clean) ** 2)))
print(f"discrepancy: lam = {found.lam / largest:.2f} lambda_max, error {error:.2f} of 255")
print(f"best on the path: lam = {shares[best]:.2f} lambda_max, error {errors[best]:.2f} of 255")
print(f"noisy input: error {255 * float(np.sqrt(np.mean((ambient - clean) ** 2))):.2f} of 255")
