"""
On a GPU
========

The same functions run on NVIDIA GPUs. CuPy arrays in, CuPy arrays out; ``device="cuda"`` moves NumPy arrays there
once. Install with ``pip install '.[cuda12]'`` or ``'.[cuda13]'``, for the CUDA version of the driver: nothing is compiled at
installation.
"""

# %%
# What this machine has; ``mcsc info`` says the same in the terminal.
import subprocess
import sys

import numpy as np

import mcsc

print(subprocess.run([sys.executable, "-m", "mcsc", "info"], capture_output=True, text=True).stdout)

# %%
# ``device="auto"`` takes what the images are on, so this page runs anywhere. On a GPU ``method="auto"`` is a solver in
# the frequency domain; on a CPU it is the working set.
rng = np.random.default_rng(0)
dictionary = mcsc.dct_dictionary((1, 1)).astype("float32")
a = rng.standard_normal((1, 1, 96, 96), dtype=np.float32)
b = a + rng.standard_normal((1, 1, 96, 96), dtype=np.float32)
signals = (a, b)
try:
    import cupy

    cupy.cuda.runtime.getDeviceCount()
    signals = tuple(cupy.asarray(s) for s in signals)
except Exception as error:
    print("no GPU here:", type(error).__name__)
result = mcsc.solve(signals, dictionary, 0.5 * mcsc.lambda_max(signals, dictionary), tol=1e-3)
print(f"{type(signals[0]).__module__}, {result.method}: gap {result.gap:.1e}")

# %%
# The methods of the frequency domain are the same code on both, so a GPU run can be checked on a CPU:
for method in ("fista", "admm"):
    check = mcsc.solve(
        (a, b), dictionary, 0.5 * mcsc.lambda_max((a, b), dictionary), method=method, tol=1e-3
    )
    print(
        f"numpy, {method}: gap {check.gap:.1e}, objective {check.objective:.4f} ({result.objective:.4f})"
    )
