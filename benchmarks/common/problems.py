"""The problems that all benchmarks share: real image pairs and a dictionary of natural images.

Pictures come from ``../shared/data`` beside the repository where that folder is (Lytro focus
stacks, Kodak, Middlebury), else from scikit-image's wheel. The dictionary is the one of 64 filters
of 8x8 that SPORCO ships: nobody's here, and learned from photographs.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mcsc
from mcsc.images.colour import luma_studio
from mcsc.images.files import read_image
from mcsc.images.split import lowpass_split

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"

PAIRS = ("lytro02", "kodim05", "lytro11", "kodim08", "lytro17", "kodim01")
"""What the comparisons run on, if the files are there: focus stacks, and luma with red."""
BUNDLED_PAIRS = ("motorcycle", "astronaut", "coffee", "chelsea")
"""Photographs that come with scikit-image: luma with red."""
FILTERS = 64
QUICK_SIZE, QUICK_FILTERS = 40, 4

Signals = tuple[np.ndarray, np.ndarray]


@contextmanager
def quiet() -> Iterator[None]:
    """Let other packages warn of their own affairs unheard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# ------------------------------------------------------------------------------- pictures
def have(name: str) -> bool:
    """True if the pictures of this pair are there."""
    return name in BUNDLED_PAIRS or name == "retina" or all(p.is_file() for p in _files(name))


def pair_names(count: int | None = None) -> tuple[str, ...]:
    """The first `count` pairs of the comparisons, all if None."""
    found = tuple(name for name in PAIRS if have(name))
    return (found if len(found) == len(PAIRS) else BUNDLED_PAIRS)[:count]


def large_name() -> str:
    """A pair of more than a megapixel: Middlebury's Dolls (luma, red), or the bundled retina."""
    return "dolls" if have("dolls") else "retina"


def _files(name: str) -> tuple[Path, ...]:
    if name.startswith("lytro"):
        return tuple(DATA / "multi_focus" / f"{name}_{part}.png" for part in ("near", "far"))
    if name == "dolls":
        return (DATA / "depth_sr" / "dolls_rgb.png",)
    return (DATA / "train_natural" / f"{name}_rgb.png",)


def _bundled(name: str) -> np.ndarray:
    import skimage.data
    import skimage.io

    file = {"motorcycle": "motorcycle_left.png", "retina": "retina.jpg"}.get(name, f"{name}.png")
    image = skimage.io.imread(Path(skimage.data.__file__).parent / file)
    return np.ascontiguousarray(image[..., :3].transpose(2, 0, 1), dtype=np.float32) / 255


@functools.cache
def pictures(name: str) -> Signals:
    """Two registered grey images of one scene, each (1, H, W), float32, in [0, 1].

    A focus stack is the luma of its two pictures; of a colour photograph, luma and the red channel.
    """
    if name in (*BUNDLED_PAIRS, "retina"):
        images = [_bundled(name)]
    else:
        images = [read_image(path).pixels for path in _files(name)]
    if len(images) == 2:
        return luma_studio(images[0]), luma_studio(images[1])
    return luma_studio(images[0]), np.ascontiguousarray(images[0][:1])


@functools.cache
def colours(name: str) -> np.ndarray:
    """The first picture of a pair in its colours, (3, H, W), float32, in [0, 1]."""
    if name in (*BUNDLED_PAIRS, "retina"):
        return _bundled(name)
    return np.ascontiguousarray(read_image(_files(name)[0]).pixels[:3])


def crop(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The middle of an image (..., H, W), mirrored at its edges where it is smaller."""
    lack = [max(0, n - m) for n, m in zip(shape, image.shape[-2:], strict=True)]
    pad = [(0, 0)] * (image.ndim - 2) + [(n // 2, n - n // 2) for n in lack]
    image = np.pad(image, pad, mode="symmetric")
    top, left = ((m - n) // 2 for n, m in zip(shape, image.shape[-2:], strict=True))
    return np.ascontiguousarray(image[..., top : top + shape[0], left : left + shape[1]])


def detail(image: np.ndarray) -> np.ndarray:
    """What a smooth part leaves, which is what is coded."""
    return lowpass_split(image).high


# ------------------------------------------------------------------------------ dictionary
@functools.cache
def natural_filters(count: int = FILTERS) -> np.ndarray:
    """`count` filters (K, 1, 8, 8) learned from photographs, zero-mean, of unit norm, float64.

    Beyond 64 they are the same, turned by 90 degrees: for measurements of size alone.
    """
    if count > FILTERS:
        bank = natural_filters(FILTERS)
        turned = [np.rot90(bank, turn, axes=(2, 3)) for turn in range(-(-count // FILTERS))]
        return np.ascontiguousarray(np.concatenate(turned)[:count])
    prepared = os.environ.get("MCSC_PREPARED")
    if prepared:  # by `python -m benchmarks.gpu --prepare`, for where SPORCO is not installed
        with np.load(Path(prepared) / "solvers.npz", allow_pickle=False) as file:
            bank = file["filters"]
    else:
        with quiet():
            import sporco.util

            bank = sporco.util.convdicts()["G:8x8x64"].astype(np.float64)
        bank = bank.transpose(2, 0, 1)[:, None]
    bank = bank - bank.mean(axis=(2, 3), keepdims=True)
    norms = np.sqrt((bank**2).sum(axis=(2, 3), keepdims=True))
    order = np.argsort(-norms.ravel(), kind="stable")[:count] if count < len(bank) else slice(None)
    return np.ascontiguousarray((bank / norms)[order])


@functools.cache
def dictionary(count: int = FILTERS) -> mcsc.Dictionary:
    """Two signals: common (D, D) / sqrt(2), unique D for each."""
    bank = natural_filters(count)
    shared = bank / np.sqrt(2.0)
    return mcsc.Dictionary(common=(shared, shared), unique=(bank, bank))


# --------------------------------------------------------------------------------- problem
@dataclass(frozen=True)
class Setting:
    """Signals with a dictionary: problems of any lam."""

    name: str
    signals: Signals
    dictionary: mcsc.Dictionary
    lambda_max: float
    boundary: str = "periodic"
    masks: tuple[np.ndarray | None, ...] | None = None

    @property
    def pixels(self) -> int:
        """Pixels of one image."""
        return int(np.prod(self.signals[0].shape[-2:]))

    def problem(self, fraction: float) -> mcsc.Problem:
        """A fresh problem with lam = fraction * lambda_max."""
        return mcsc.Problem(
            self.signals, self.dictionary, fraction * self.lambda_max, self.masks, self.boundary
        )

    def solve(self, fraction: float, **options: Any) -> mcsc.Result:
        """`mcsc.solve`, silent where it does not converge: the result says so."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mcsc.ConvergenceWarning)
            return mcsc.solve(
                self.signals,
                self.dictionary,
                fraction * self.lambda_max,
                masks=self.masks,
                boundary=self.boundary,
                **options,
            )


def setting(
    name: str,
    size: int | tuple[int, int],
    *,
    filters: int = FILTERS,
    boundary: str = "periodic",
    masks: tuple[np.ndarray | None, ...] | None = None,
    bank: mcsc.Dictionary | None = None,
) -> Setting:
    """The detail of the middle of a pair, 2 x 1 channel, float32; `bank` instead of `filters`."""
    shape = (size, size) if isinstance(size, int) else size
    x, y = (detail(crop(image, shape)) for image in pictures(name))
    return from_signals(name, (x, y), filters=filters, boundary=boundary, masks=masks, bank=bank)


def from_signals(
    name: str,
    signals: Signals,
    *,
    filters: int = FILTERS,
    boundary: str = "periodic",
    masks: tuple[np.ndarray | None, ...] | None = None,
    bank: mcsc.Dictionary | None = None,
) -> Setting:
    """A setting of given signals."""
    d = dictionary(filters) if bank is None else bank
    largest = mcsc.lambda_max(signals, d, masks=masks, boundary=boundary)
    return Setting(name, signals, d, largest, boundary, masks)
