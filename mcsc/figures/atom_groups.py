"""The code groups of a dictionary as figures show them: their atoms, and how much each is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import to_numpy
from ..errors import InvalidTypeError
from ..model.dictionary import Dictionary, embed
from ..types import Floats
from .drawing import TITLE_SIZE, Sheet

__all__ = [
    "PAPER",
    "SEAM",
    "AtomGroup",
    "atom_groups",
    "check_dictionary",
    "group_caption",
]

# Pixels: an atom is enlarged by a whole number to about _SIDE a side, its neighbour in a tile lies
# SEAM beside it.
_SIDE = 48
SEAM = 3
PAPER = 255


@dataclass(frozen=True, eq=False)
class AtomGroup:
    """A code group: its atoms in all banks, in the order in which they are drawn."""

    name: str
    """As in `Dictionary.groups`."""
    title: str
    bank_names: list[str]
    banks: list[Floats]
    """Shape (K, C, s, s) each, with one s; zeros where the target has no filter."""
    analysis: int
    """How many of the banks, the first ones, are of the signals; the others of the target."""
    order: NDArray[np.intp]
    use: NDArray[np.float64] | None

    @property
    def side(self) -> int:
        """Pixels of a drawn atom."""
        size = int(self.banks[0].shape[-1])
        return size * max(round(_SIDE / size), 1)

    def tile(self, k: int) -> NDArray[np.uint8]:
        """The filters of map k side by side, (side, pixels, 3)."""
        filters = [bank[k] for bank in self.banks]
        drawn = [f if len(f) == 3 else f.mean(axis=0, keepdims=True) for f in filters]
        limit = max(float(np.abs(f).max()) for f in drawn[: self.analysis])
        times = self.side // int(filters[0].shape[-1])
        pieces = []
        for i, atom in enumerate(drawn):
            own = limit if i < self.analysis else float(np.abs(atom).max())
            image = _shade(atom, own).repeat(times, 0).repeat(times, 1)
            seam = [(0, 0), (SEAM if i else 0, 0), (0, 0)]
            pieces.append(np.pad(image, seam, constant_values=PAPER))
        return np.concatenate(pieces, axis=1)


def atom_groups(dictionary: Dictionary, use: NDArray[np.float64] | None) -> list[AtomGroup]:
    """The code groups of a dictionary; with `use` (K,), the most used atoms first."""
    pair = dictionary.n_signals == 2
    targets = dictionary.target_unique or (None,) * dictionary.n_signals
    out = []
    for group in dictionary.groups:
        if group.name == "common":
            assert dictionary.common is not None
            title = "common to " + ("x and y" if pair else "all signals")
            banks: list[Any] = list(dictionary.common)
            names = ["dc", "hc"] if pair else [f"d{m + 1}" for m in range(len(banks))]
            target, target_name = dictionary.target_common, "gc"
        else:
            m = int(group.name[len("unique[") : -1])
            assert dictionary.unique is not None
            title = "unique to " + (("x", "y")[m] if pair else f"signal {m + 1}")
            if dictionary.n_signals == 1:
                title = "filters"
            banks = [dictionary.unique[m]]
            names = [("du", "hv")[m] if pair else f"d{m + 1}"]
            target, target_name = targets[m], ("gu", "gv")[m] if pair else f"g{m + 1}"
        analysis = len(banks)
        if target is not None:
            banks, names = [*banks, target], [*names, target_name]
        size = max(int(b.shape[2]) for b in banks)
        own = None if use is None else use[group.maps]
        order = np.arange(len(group.bank)) if own is None else np.argsort(-own, kind="stable")
        filters = [embed(to_numpy(b), size) for b in banks]
        out.append(AtomGroup(group.name, title, names, filters, analysis, order, own))
    return out


def group_caption(sheet: Sheet, group: AtomGroup, left: float, bottom: float) -> None:
    """Write what a group is, in bold, and how many atoms of which banks it has."""
    count, _, size, _ = group.banks[0].shape
    words = f"{' | '.join(group.bank_names)}    {count} of {size} × {size}"
    if group.use is not None:
        unused = int((group.use == 0).sum())
        words += ", most used first" + (f", {unused} unused" if unused else "")
    style: Any = {"fontsize": TITLE_SIZE + 1, "weight": "bold", "va": "bottom"}
    title = sheet.text(group.title, left, bottom, **style)
    figure = sheet.figure
    extent = title.get_window_extent(figure.canvas.get_renderer())  # type: ignore[attr-defined]
    after = left + (extent.width + 12) / figure.dpi
    style = {"fontsize": TITLE_SIZE, "color": "0.3", "va": "bottom"}
    sheet.text(words, after, bottom, **style)


def check_dictionary(dictionary: Any) -> None:
    """Refuse what is no dictionary."""
    if not isinstance(dictionary, Dictionary):
        raise InvalidTypeError(
            f"dictionary must be an mcsc.Dictionary, found {type(dictionary).__name__}"
        )


def _shade(atom: Floats, limit: float) -> NDArray[np.uint8]:
    """One filter (C, s, s) in colour or grey, (s, s, 3), zero in the middle of the scale."""
    plane = atom if len(atom) == 3 else np.repeat(atom.mean(axis=0, keepdims=True), 3, axis=0)
    value = np.clip(0.5 + 0.5 * plane / (limit or 1.0), 0, 1)
    return np.asarray(np.rint(255 * value.transpose(1, 2, 0)), np.uint8)
