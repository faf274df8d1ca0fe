"""The filters that are learned: their layout, their constraint, their start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InvalidValueError
from ..model.dictionary import Dictionary, embed
from ..model.starter import dct_bank
from .images import Images
from .windows import Window

Banks = list[np.ndarray]


class Layout:
    """Filter banks of all code groups as one vector, and the set that they must lie in.

    Banks are those of `Dictionary.groups`: signals are multiplied by their weights, common filters
    of all signals are one atom. Filters may have several sizes; each is zero outside its own.

    Parameters
    ----------
    channels : tuple of M ints
        Number of channels of each signal.
    n_common : int
        Common filters; 0: no such group.
    n_unique : tuple of M ints
        Unique filters of each signal.
    sizes : sequence of int
        Sides of the filters, rising, dealt out evenly over the filters of each group.
    signal_weights : tuple of M floats, or None
        By which signals are multiplied; None: all one.
    zero_mean : bool
        The constraint includes zero mean in every channel.
    """

    def __init__(
        self,
        *,
        channels: tuple[int, ...],
        n_common: int,
        n_unique: tuple[int, ...],
        sizes: Sequence[int],
        signal_weights: tuple[float, ...] | None,
        zero_mean: bool,
    ) -> None:
        self.channels = channels
        self.signal_weights = signal_weights
        self.zero_mean = zero_mean
        self.sizes = tuple(sizes)
        self.size = s = max(sizes)
        counts = (n_common, *n_unique)
        wide = (sum(channels), *channels)
        self.groups = [g for g in range(len(counts)) if counts[g] > 0]
        self.shapes = [(counts[g], wide[g], s, s) for g in self.groups]
        self.edges = np.cumsum([0, *(int(np.prod(shape)) for shape in self.shapes)])
        # Sizes are dealt out evenly within each group, small ones first.
        self.size_of = [
            np.repeat(self.sizes, [len(p) for p in np.array_split(np.arange(n), len(self.sizes))])
            for n, _, _, _ in self.shapes
        ]
        self.support = [
            np.concatenate([embed(np.ones((1, 1, int(a), int(a))), s) for a in found])
            for found in self.size_of
        ]

    def banks(self, flat: np.ndarray) -> Banks:
        """Views of the banks in a vector."""
        parts = np.split(flat, self.edges[1:-1])
        return [p.reshape(shape) for p, shape in zip(parts, self.shapes, strict=True)]

    def project(self, flat: np.ndarray) -> np.ndarray:
        """The nearest filters of their sizes, of zero mean if so wanted, in the unit ball."""
        out = flat.copy()
        for bank, support in zip(self.banks(out), self.support, strict=True):
            bank *= support
            if self.zero_mean:
                mean = bank.sum((2, 3), keepdims=True) / support.sum((2, 3), keepdims=True)
                bank -= mean * support
            norm = np.sqrt((bank**2).sum((1, 2, 3), keepdims=True))
            bank /= np.maximum(norm, 1.0)
        return out

    def per_filter(self, values: np.ndarray) -> np.ndarray:
        """Spread one number per map (in the order of the groups) over its filter."""
        starts = np.cumsum([0, *(shape[0] for shape in self.shapes)])
        parts = [
            np.repeat(values[a:b], int(np.prod(shape[1:])))
            for a, b, shape in zip(starts[:-1], starts[1:], self.shapes, strict=True)
        ]
        return np.concatenate(parts)

    def dictionary(self, flat: np.ndarray, metadata: dict[str, Any] | None = None) -> Dictionary:
        """The dictionary of these filters; weights of signals are divided out."""
        weights = self.signal_weights or (1.0,) * len(self.channels)
        found = dict(zip(self.groups, self.banks(flat), strict=True))
        common = None
        if 0 in found:
            edges = np.cumsum(self.channels)[:-1]
            parts = np.split(found[0], edges, axis=1)
            common = tuple(p / w for p, w in zip(parts, weights, strict=True))
        unique = tuple(
            found[m + 1] / weights[m] if m + 1 in found else None for m in range(len(self.channels))
        )
        return Dictionary(
            common,
            unique if any(u is not None for u in unique) else None,
            signal_weights=self.signal_weights,
            metadata=metadata or {},
        )

    def flat(self, dictionary: Dictionary) -> np.ndarray:
        """The vector of a dictionary's filters."""
        return np.concatenate([embed(g.bank, self.size).reshape(-1) for g in dictionary.groups])

    @property
    def maps(self) -> dict[str, int]:
        """Names of the groups that exist, and how many maps each has."""
        names = ["common" if g == 0 else f"unique[{g - 1}]" for g in self.groups]
        return dict(zip(names, (shape[0] for shape in self.shapes), strict=True))

    # ---------------------------------------------------------------- start
    def start(self, init: Any, images: Images, rng: np.random.Generator) -> np.ndarray:
        """First filters: from patches, cosines, or a dictionary."""
        if isinstance(init, Dictionary):
            given = [g.bank.shape[:2] for g in init.groups]
            if given != [s[:2] for s in self.shapes] or init.filter_size > self.size:
                raise InvalidValueError(
                    f"init has banks {[g.bank.shape for g in init.groups]}, wanted are "
                    f"{self.shapes}"
                )
            return self.project(self.flat(init))
        flat = self.from_patches(images, rng)
        if init == "dct":
            flat = self._cosines(flat)
        return self._unit(flat)

    def _unit(self, flat: np.ndarray) -> np.ndarray:
        """Scale every filter to unit norm, within the constraint."""
        inside = self.project(flat)
        for bank, support in zip(self.banks(inside), self.support, strict=True):
            norm = np.sqrt((bank**2).sum((1, 2, 3), keepdims=True))
            # A patch without any structure becomes a difference of two pixels.
            flatish = norm[:, 0, 0, 0] < 1e-6
            if flatish.any():
                o = (self.size - 1) // 2
                bank[flatish] = 0
                bank[flatish, :, o, o] = 1
                bank[flatish, :, o, o + 1] = -1
                bank *= support
                norm = np.sqrt((bank**2).sum((1, 2, 3), keepdims=True))
            bank /= norm
        return self.project(inside)

    def from_patches(self, images: Images, rng: np.random.Generator) -> np.ndarray:
        """Patches of the images, drawn with a preference for those with much structure."""
        flat = np.zeros(self.edges[-1])
        banks = self.banks(flat)
        maps = sum(shape[0] for shape in self.shapes)
        pools = _patches(images, self.size, max(20 * maps, 400), rng)
        weights = self.signal_weights or (1.0,) * len(self.channels)
        edges = np.cumsum([0, *self.channels])
        pool = np.concatenate([w * p for w, p in zip(weights, pools, strict=True)], axis=1)
        # What rounding leaves of flat patches is small beside the largest values, in any unit.
        least = 1e-12 * (float(np.abs(pool).max()) or 1.0)
        for group, bank in zip(self.groups, banks, strict=True):
            part = pool if group == 0 else pool[:, edges[group - 1] : edges[group]]
            centred = part - part.mean((2, 3), keepdims=True)
            energy = np.sqrt((centred**2).sum((1, 2, 3))) + least
            chosen = rng.choice(
                len(part), len(bank), replace=len(part) < len(bank), p=energy / energy.sum()
            )
            bank[...] = (centred if self.zero_mean else part)[chosen]
            bank /= np.sqrt((bank**2).sum((1, 2, 3), keepdims=True)) + least
        return flat

    def _cosines(self, patches: np.ndarray) -> np.ndarray:
        """Cosines of low frequencies; a common atom is one in all signals, of the patch's sign."""
        flat = np.zeros_like(patches)
        for bank, drawn, sizes in zip(
            self.banks(flat), self.banks(patches), self.size_of, strict=True
        ):
            for s in np.unique(sizes):
                mine = np.flatnonzero(sizes == s)
                axis = min(2 * int(s), int(np.ceil(np.sqrt(len(mine) + 1))) + 1)
                waves = embed(dct_bank(int(s), max(axis, 2)), self.size)[:, 0]
                order = np.arange(len(mine)) % len(waves)
                # Channels weighted as in the patches that would have been drawn.
                share = np.sqrt((drawn[mine] ** 2).mean((2, 3)))
                bank[mine] = waves[order][:, None] * share[:, :, None, None]
                # More atoms than cosines: noise tells copies apart.
                copies = np.arange(len(mine)) >= len(waves)
                bank[mine[copies]] += 0.5 * drawn[mine[copies]]
        return flat


def _patches(images: Images, size: int, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Patches at the same random places of all signals, (count, C_m, s, s) each."""
    pixels = np.array([n * h * w for n, h, w in images.sizes], dtype=np.float64)
    scenes = np.sort(rng.choice(len(images.sizes), count, p=pixels / pixels.sum()))
    found: list[list[np.ndarray]] = [[] for _ in images.channels]
    for scene in scenes:
        n, h, w = images.sizes[scene]
        sample, top = int(rng.integers(n)), int(rng.integers(h - size + 1))
        left = int(rng.integers(w - size + 1))
        cut = images.cut(Window(int(scene), sample, top, left, size, size))
        for m, x in enumerate(cut.signals):
            found[m].append(x.astype(np.float64))
    return [np.stack(p) for p in found]
