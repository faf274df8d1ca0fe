"""
On a GPU
========

The same functions run on NVIDIA GPUs. CuPy arrays in, CuPy arrays out; ``device="cuda"`` moves NumPy arrays to the GPU once.
Install with ``pip install '.[cuda12]'`` or ``'.[cuda13]'``, for the CUDA version of your driver: nothing is compiled at
installation.
"""

# %%
# What this machine has; ``mcsc info`` says the same in the terminal.
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np

import mcsc

print(subprocess.run([sys.executable, "-m", "mcsc", "info"], capture_output=True, text=True).stdout)

# %%
# ``device="auto"`` computes where the images are, so this page runs with and without a GPU. On a GPU, ``method="auto"`` takes
# a solver that works in the frequency domain; on a CPU, it takes the working set.
rng = np.random.default_rng(0)
dictionary = mcsc.dct_dictionary((1, 1), filter_size=6).astype("float32")
a = rng.standard_normal((1, 1, 64, 64), dtype=np.float32)
b = a + rng.standard_normal((1, 1, 64, 64), dtype=np.float32)
signals = (a, b)
try:
    import cupy

    cupy.cuda.runtime.getDeviceCount()
    signals = tuple(cupy.asarray(s) for s in signals)
except Exception as error:
    print("no GPU here:", type(error).__name__)
lam = 0.5 * mcsc.lambda_max(signals, dictionary)
for _ in range(2):  # the first call compiles kernels, which the times below are to leave out
    result = mcsc.solve(signals, dictionary, lam, tol=1e-3)
print(f"{type(signals[0]).__module__}, {result.method}: gap {result.gap:.1e}")

# %%
# The solvers in the frequency domain are the same code on a GPU and on a CPU, so a run on the one can be checked on the
# other. Each reaches the optimum that is certified above:
checks = {
    method: mcsc.solve((a, b), dictionary, lam, method=method, tol=1e-3)
    for method in ("fista", "admm")
}
figure, axis = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for name, check in {f"{result.method}, as above": result, **checks}.items():
    axis.semilogy(check.history.seconds, check.history.gap, "o-", markersize=4, label=name)
    print(f"{name:22} gap {check.gap:.1e}, objective {check.objective:.4f}")
axis.set(xlabel="seconds", ylabel="certified relative gap")
axis.legend()
