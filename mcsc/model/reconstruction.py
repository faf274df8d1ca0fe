"""Images from codes: Points 1 to 4 of Fig. 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..backend import Array, backend_for, on_device_of, to_numpy
from ..checks import check_choice
from ..errors import InvalidValueError
from ..types import Boundary, Kind
from .codes import Codes, check_is_codes
from .convolution import forward, make_operator
from .dictionary import Dictionary, Group, check_is_dictionary
from .signals import check_filters_fit
from .sparse_maps import SparseMaps


@dataclass(frozen=True, eq=False)
class Parts:
    """A target image and what it is made of.

    Attributes
    ----------
    image : array (N, C, H, W)
        The target z (Point 4 of Fig. 2 of the paper), Eq. 3 or Eq. 4.
    common : array (N, C, H, W) or None
        Common part ``gc * c`` (Point 1).
    unique : tuple of M (array (N, C, H, W) or None)
        Unique parts ``gu * u``, ``gv * v``, ... (Points 2, 3); None where the target has none.
    """

    image: Array
    common: Array | None
    unique: tuple[Array | None, ...]


def reconstruct(
    codes: Codes, dictionary: Dictionary, task: Kind = "restoration", *, boundary: Boundary = "zero"
) -> Parts:
    r"""Reconstruct the target image from codes.

    .. math::

        z & = \sum_k g^c_k * c_k + \sum_k g^u_k * u_k \quad (\text{restoration, Eq. 3}), \\
        z & = \ldots + \sum_k g^v_k * v_k \quad (\text{fusion, Eq. 4}).

    Parameters
    ----------
    codes : Codes
        Result of `mcsc.solve`.
    dictionary : Dictionary
        With target filters. Without any, the target is the first signal itself: ``gc = dc``,
        ``gu = du`` (restoration), which a dictionary for fusion cannot replace.
    task : {"restoration", "fusion"}
        The kind of task, not the name of one: a restoration uses the first signal's unique part
        only, a fusion all of them.
    boundary : {"zero", "periodic"}
        As in `mcsc.solve`.

    Returns
    -------
    Parts
        In the array library of `codes`.

    Raises
    ------
    TypeError
        `codes` or `dictionary` is something else.
    ValueError
        `task` is unknown, the dictionary lacks target filters that the task needs, codes and
        dictionary do not fit, or target filters are larger than the image.
    """
    check_is_codes(codes)
    check_is_dictionary(dictionary)
    check_choice("task", task, Kind)
    check_choice("boundary", boundary, Boundary)
    common_maps, unique_maps = codes.maps_for(dictionary)
    gc, gu = dictionary.target_common, dictionary.target_unique
    if gc is None and gu is None:
        if task == "fusion":
            raise InvalidValueError(
                "fusion needs target filters (target_common, target_unique), and the dictionary "
                "has none; learn them with mcsc.learn, or give them to mcsc.Dictionary"
            )
        gc = None if dictionary.common is None else dictionary.common[0]
        first = None if dictionary.unique is None else dictionary.unique[0]
        gu = (first, *(None for _ in range(dictionary.n_signals - 1)))
    gu = gu or (None,) * dictionary.n_signals
    if task == "fusion" and any(
        g is None and k > 0 for g, k in zip(gu, dictionary.n_unique, strict=True)
    ):
        raise InvalidValueError("fusion needs target filters for every signal's unique codes")
    if task == "restoration":
        gu = (gu[0], *(None for _ in gu[1:]))
    common = _synthesise(common_maps, gc, "common", boundary)
    unique = tuple(
        _synthesise(a, g, f"unique[{m}]", boundary)
        for m, (a, g) in enumerate(zip(unique_maps, gu, strict=True))
    )
    present = [p for p in (common, *unique) if p is not None]
    if not present:
        raise InvalidValueError("the dictionary has no target filters for these codes")
    image = present[0]
    with on_device_of(image):
        for part in present[1:]:
            image = image + part
    return Parts(image, common, unique)


def signal_parts(
    codes: Codes, dictionary: Dictionary, *, boundary: Boundary = "zero"
) -> tuple[Parts, ...]:
    r"""Take every signal apart: common part, unique part, and their sum (Eqs. 1 and 2).

    Parameters
    ----------
    codes, dictionary, boundary
        As in `reconstruct`; no target filters are needed.

    Returns
    -------
    tuple of M Parts
        For signal m, `common` is ``dc * c``, `unique` holds ``du * u`` at index m and None
        elsewhere, and `image` is their sum, the model of the signal.

    Raises
    ------
    TypeError
        `codes` or `dictionary` is something else.
    ValueError
        `boundary` is unknown, or codes and dictionary do not fit.
    """
    check_is_codes(codes)
    check_is_dictionary(dictionary)
    check_choice("boundary", boundary, Boundary)
    common_maps, unique_maps = codes.maps_for(dictionary)
    parts = []
    for m in range(dictionary.n_signals):
        dc = None if dictionary.common is None else dictionary.common[m]
        du = None if dictionary.unique is None else dictionary.unique[m]
        common = _synthesise(common_maps, dc, "common", boundary)
        own = _synthesise(unique_maps[m], du, f"unique[{m}]", boundary)
        with on_device_of(own if common is None else common):
            image = own if common is None else common if own is None else common + own
        unique = tuple(own if other == m else None for other in range(dictionary.n_signals))
        parts.append(Parts(image, common, unique))
    return tuple(parts)


def _synthesise(
    maps: SparseMaps | None, bank: Array | None, name: str, boundary: Boundary
) -> Array | None:
    """``sum_k bank_k * maps_k`` as an image (N, C, H, W), from sparse maps."""
    if maps is None or bank is None:
        return None
    filters = to_numpy(bank).astype(np.float64)
    shape = maps.shape[2:]
    check_filters_fit(filters.shape[2], shape, filters="target filters")
    backend = backend_for(maps.value)
    if backend.name == "NumPy":
        return maps.image(filters, boundary).astype(maps.value.dtype)
    group = Group(name, slice(0, filters.shape[0]), slice(0, filters.shape[1]), filters)
    with on_device_of(maps.value):
        operator = make_operator([group], shape, boundary, backend, maps.value.dtype, maps.shape[0])
        return forward(operator, backend, maps.dense())
