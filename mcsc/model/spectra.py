"""Filter banks in the Fourier domain: autocorrelations, normal matrices, norms."""

from __future__ import annotations

import numpy as np


def autocorrelation(bank: np.ndarray) -> np.ndarray:
    """Matrix autocorrelation of a bank, ``A[a,b,p] = sum_kq d[k,a,p+q] d[k,b,q]``.

    Shape (C, C, 2s-1, 2s-1) with lag 0 at the centre; its Fourier transform is
    ``D(w) D(w)^H``, the normal matrix on the side of the channels.
    """
    s = bank.shape[2]
    n = 2 * s - 1
    spectrum = np.fft.rfft2(bank, s=(n, n))
    product = np.einsum("kahw,kbhw->abhw", spectrum, spectrum.conj(), optimize=True)
    return np.fft.fftshift(np.fft.irfft2(product, s=(n, n)), axes=(2, 3))


def gram_spectrum(kernel: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Fourier transform of `autocorrelation` on a grid, shape (C, C, H, W//2+1), complex128."""
    s = (kernel.shape[2] + 1) // 2
    # Lags are wrapped, not cropped: on a grid smaller than 2s-1 they alias, as they must.
    out: np.ndarray = np.fft.rfft2(wrap(kernel, shape, s - 1))
    return out


def wrap(kernel: np.ndarray, shape: tuple[int, int], origin: int) -> np.ndarray:
    """Place kernels (..., h, w) on a periodic grid with their origin at index 0; overlaps add."""
    grid = np.zeros((*kernel.shape[:-2], *shape))
    rows = (np.arange(kernel.shape[-2]) - origin) % shape[0]
    cols = (np.arange(kernel.shape[-1]) - origin) % shape[1]
    for i, row in enumerate(rows):
        for j, col in enumerate(cols):
            grid[..., row, col] += kernel[..., i, j]
    return grid


def hermitian_norm(gram: np.ndarray) -> float:
    """Largest eigenvalue over all frequencies of Hermitian matrices (C, C, H, W)."""
    if gram.shape[0] == 1:
        return float(gram[0, 0].real.max())
    if gram.shape[0] == 2:
        a, d = gram[0, 0].real, gram[1, 1].real
        return float((0.5 * (a + d) + np.hypot(0.5 * (a - d), np.abs(gram[0, 1]))).max())
    matrices = np.moveaxis(gram, (0, 1), (-2, -1))
    return float(np.linalg.eigvalsh(matrices).max())


def supremum(bank: np.ndarray) -> float:
    """Upper bound on the squared norm of a bank's operator, see `Dictionary.lipschitz`."""
    s, n = bank.shape[2], _sampling(bank)
    if bank.shape[0] < bank.shape[1]:  # fewer maps than channels: the smaller Gram matrix
        bank = np.swapaxes(bank, 0, 1)
    sampled = hermitian_norm(gram_spectrum(autocorrelation(bank), (n, n)))
    return sampled / float(np.cos(np.pi * (s - 1) / n)) ** 2


def supremum_memory(bank: np.ndarray) -> int:
    """Bytes that `supremum` takes: the Gram matrices on its grid, their spectra and norms."""
    matrices = min(bank.shape[:2]) ** 2
    return int(_sampling(bank) ** 2 * 24 * matrices)


def _sampling(bank: np.ndarray) -> int:
    """Frequencies of an axis at which the Gram matrix is looked at."""
    return int((32 if min(bank.shape[:2]) <= 8 else 8) * bank.shape[2])
