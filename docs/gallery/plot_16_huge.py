"""
One image larger than memory
============================

An image of gigapixels is coded in blocks by Dask's workers. This is not a solution in tiles: blocks are coded again until
the certificate of the *whole* image says that the optimum is there. :doc:`/distributed` explains how.
"""

# %%
# The pair is small here, 160 x 192 pixels in chunks of 96 x 96, so that it can also be solved as a whole for comparison.
import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
from distributed import Client

import mcsc
from mcsc.distributed import solve_blocks
from mcsc.images import lowpass_split, motorcycle

pair = motorcycle(size=(140, 500, 160, 192))
signals = tuple(lowpass_split(i, 5.0, m).high for i, m in ((pair.x, pair.mask), (pair.y, None)))
dictionary = mcsc.dct_dictionary((1, 1), filter_size=6)
lam = 0.1 * mcsc.lambda_max(signals, dictionary)
chunked = tuple(da.from_array(s, chunks=(1, 96, 96)) for s in signals)

# %%
with Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as client:
    found = solve_blocks(chunked, dictionary, lam, block=96, tol=1e-3, client=client)
    gaps, objectives = list(found.history.gap), list(found.history.objective)
whole = mcsc.solve(signals, dictionary, lam, tol=1e-5)
print(f"blocks: gap {found.gap:.1e} after {found.sweeps} sweeps, objective {found.objective:.6f}")
print(f"whole:  gap {whole.gap:.1e}, objective {whole.objective:.6f}")

# %%
plt.figure(figsize=(6, 3.2), layout="constrained")
plt.semilogy(range(1, len(gaps) + 1), gaps, "o-", label="certified gap")
above = np.maximum(np.array(objectives) / whole.objective - 1, 1e-7)
plt.semilogy(range(1, len(gaps) + 1), above, "s-", label="above the optimum")
plt.xlabel("sweep over the blocks")
plt.xticks(range(1, len(gaps) + 1))
plt.legend()
