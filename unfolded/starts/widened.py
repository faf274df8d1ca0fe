"""A trained network as the start of one of another kind, which at first does the same."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from mcsc.errors import InvalidTypeError, InvalidValueError

from ..engines.steps import margins
from ..network.configuration import Thresholds
from ..network.cunet import CUNet


def widened(
    net: CUNet,
    *,
    sweeps: int | None = None,
    thresholds: Thresholds | None = None,
    noise_aware: bool | None = None,
    kernel_size: int | None = None,
) -> CUNet:
    r"""Return a network with more sweeps, other thresholds or larger filters and the same output.

    Parameters
    ----------
    net : CUNet
        The network; it is left as it is.
    sweeps : int, optional
        Number of sweeps, not fewer than the network has. The steps of a sweep that is added leave
        the codes as they are: their analysis filters E and thresholds are zero, and D is that of
        the network. The result is the same bit for bit.
    thresholds : {"scalar", "map"}, optional
        "map" gives each map the threshold that all maps had. The result is the same bit for bit.
    noise_aware : bool, optional
        True: thresholds follow the noise. A network that was trained for noise of one strength
        (``net.metadata["sigma"]``, of 255) gets thresholds in proportion to it: at any strength it
        does what it did to images that were scaled to its own, to rounding. Any other gets slopes
        of zero, and is the same bit for bit.
    kernel_size : int, optional
        Side of the filters, not smaller than the network's. They get a frame of zeros, which
        leaves their centres where they are; the result is the same to rounding.

    Returns
    -------
    CUNet
        In the same precision, in evaluation mode, with the same metadata.

    Raises
    ------
    TypeError
        `net` is not a `CUNet`.
    ValueError
        The network would lose something: fewer sweeps, one threshold in place of many, or smaller
        filters; or a second sweep is asked for of a network without residual lines; or layers of
        the network were replaced, parametrised or pruned.

    Notes
    -----
    Let the learning rate rise when training goes on (`Recipe.warm_up`): Adam's first steps are of
    one size for all weights, and those that are zero have no size to compare.
    """
    if not isinstance(net, CUNet):
        raise InvalidTypeError(f"net must be a CUNet, found {type(net).__name__}")
    old = net.configuration
    new = replace(
        old,
        sweeps=old.sweeps if sweeps is None else sweeps,
        thresholds=thresholds or old.thresholds,
        noise_aware=old.noise_aware if noise_aware is None else noise_aware,
        kernel_size=old.kernel_size if kernel_size is None else kernel_size,
    )
    for name, less in (
        ("sweeps", new.sweeps < old.sweeps),
        ("thresholds", (old.thresholds, new.thresholds) == ("map", "scalar")),
        ("noise_aware", old.noise_aware and not new.noise_aware),
        ("kernel_size", new.kernel_size < old.kernel_size),
    ):
        if less:
            raise InvalidValueError(
                f"{name} cannot become {getattr(new, name)!r}: the network has "
                f"{getattr(old, name)!r}, and would lose weights"
            )
    plain = net.plain_state()
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in CUNet(**new.as_dict()).state_dict().items()}
    own = {key: _grown(key, v.detach(), new.kernel_size) for key, v in plain.items()}
    state = {key: _taken(key, shape, own) for key, shape in shapes.items()}
    strength = float(net.metadata.get("sigma") or 0) / 255
    if new.noise_aware and not old.noise_aware and strength > 0:
        for key in shapes:
            if key.endswith("slopes"):
                name = key.removesuffix("slopes") + "thresholds"
                state[key] = state[name] / strength
                state[name] = torch.zeros_like(state[name])
    made = CUNet.from_state(new, state)
    made.metadata = copy.deepcopy(net.metadata)
    return made


def _taken(key: str, shape: tuple[int, ...], own: dict[str, Tensor]) -> Tensor:
    """A weight of the new network from those of the old one."""
    if key in own:
        found = own[key]
        # One threshold becomes that of every map.
        return (found[:, None] if len(shape) > found.dim() else found).expand(shape).clone()
    name = key.split(".", 2)[-1] if key.startswith("again.") else key
    like = own["target_common.weight"]
    if name == "known.weight":
        return own.get("common.down.0.weight", _adjoint(own["common.first.weight"])).clone()
    if name.startswith("explained."):
        return own[name].clone()
    if ".down." in name:  # of c there is no D outside of its module
        number = name.split(".")[1]
        if name.startswith("unique."):
            return own[f"explained.{number}.weight"].clone()
        return _taken("again.0.known.weight", shape, own)
    return like.new_zeros(shape)


def _grown(key: str, value: Tensor, size: int) -> Tensor:
    """The same filters with zeros around them; thresholds as they are."""
    if not key.endswith(".weight") or value.shape[-1] == size:
        return value
    new, old = margins(size), margins(value.shape[-1])
    before, after = new[0] - old[0], new[1] - old[1]
    if ".first." not in key and ".up." not in key:  # D, the adjoint of E, is centred the other way
        before, after = after, before
    return F.pad(value, (before, after, before, after))


def _adjoint(weight: Tensor) -> Tensor:
    return weight.flip(2, 3).transpose(0, 1).contiguous()
