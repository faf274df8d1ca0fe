"""Aligning the frames of a stack to the one in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError, warn_user
from ..images.registration import CONFIDENT, DISPLACED, estimate_shift
from ..images.resize import imresize
from ..types import Floats
from .distant import distant_shift
from .motion import Motion, estimate_motion, moved

__all__ = ["AlignedStack", "align_stack", "check_aspect", "misfit", "refuse_distant", "sized"]

_ASPECT = 0.02
"""Relative difference of aspect that cropping and rounding make."""
_BLOCK = 64
_BLOCKS = 5
_DISTINCT = 0.35
"""Correlation that images of different scenes do not reach, wherever one is moved."""
_UNFIT = 0.2
"""Share of the blocks that can be judged from which on a frame does not fit."""
_WHOLE = 0.999
"""Weight of a moved pixel that comes from known ones alone."""
_UNKNOWN_IN_ALL = 2
"""Pixels of the smallest side of what is common to all frames."""


@dataclass(frozen=True, eq=False)
class AlignedStack(Sequence[Floats]):
    """Frames of a stack on the grid of one of them, each made when it is asked for."""

    frames: Sequence[Floats]
    """As they were given, (C, H, W)."""
    motions: tuple[Motion, ...]
    """Motion of every frame against the reference."""
    reference: int
    """Number of the frame that lies still."""
    names: tuple[str, ...]
    cropped: bool = False
    """Only what all frames show is kept; otherwise `masks` say what a frame does not show."""
    window: tuple[slice, slice] = field(default=(slice(None), slice(None)))
    """Rows and columns of the reference that are kept."""
    known: Sequence[Any] | None = None
    """Weights of the frames as they were given; None: all of each is known."""

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[m] for m in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        frame = sized(self.frames[index], self.motions[index].shape)
        if not self.motions[index].is_still:
            frame, _ = moved(frame, self.motions[index])
        return np.ascontiguousarray(frame[(..., *self.window)])

    @property
    def masks(self) -> Sequence[NDArray[np.bool_] | None]:
        """Where each frame has known data, (H, W), made when it is asked for; None: everywhere.

        What comes from unknown pixels, also in part, is unknown.
        """
        return _Masks(self)

    def describe(self, index: int) -> str:
        """Say what was done with a frame."""
        if index == self.reference:
            return f"{self.names[index]}: the others are aligned to it"
        if self.motions[index].correlation < _DISTINCT:
            return f"{self.names[index]}: not aligned, and left as it is"
        return f"{self.names[index]}: {self.motions[index].words}"


class _Masks(Sequence[Any]):
    def __init__(self, stack: AlignedStack) -> None:
        self._stack = stack

    def __len__(self) -> int:
        return len(self._stack)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[m] for m in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        stack, motion = self._stack, self._stack.motions[index]
        whole_frame = stack.cropped or motion.is_still
        there = np.ones(motion.shape, bool) if whole_frame else motion.inside()
        given = None if stack.known is None else stack.known[index]
        if given is not None:
            weights = np.asarray(given, np.float32)
            whole = np.min(weights.reshape(-1, *weights.shape[-2:]) > 0, axis=0, keepdims=True)
            known = sized(whole.astype(np.float32), motion.shape)
            seen = known if motion.is_still else moved(known, motion)[0]
            there = there & np.asarray(seen[0] > _WHOLE)
        kept = np.asarray(there)[stack.window]
        return None if kept.all() else kept


def align_stack(
    frames: Sequence[Floats],
    *,
    reference: int | None = None,
    crop: bool = False,
    known: Sequence[Any] | None = None,
    names: Sequence[str] | None = None,
) -> AlignedStack:
    """Align frames of one scene by shift, rotation, scale and perspective.

    For stacks from the hand, and for the breathing of a lens whose focus is moved.

    Parameters
    ----------
    frames : sequence of arrays of floats, shape (H, W) or (C, H, W)
        Two or more of one aspect, at least 32 x 32 pixels; another size is brought to that of the
        reference. It may make a frame, or read its file, whenever one is asked for.
    reference : int, optional
        Number of the frame that lies still. Default: the one in the middle.
    crop : bool
        Keep the largest window that every frame fills; otherwise all of the reference, and masks.
    known : sequence of (array or None), optional
        Weights of each frame, (H, W), (1, H, W) or (C, H, W), 0 where it is unknown: they are moved
        along, see `AlignedStack.masks`. Unknown pixels must hold something that does not catch the
        eye, as `mcsc.images.fill_holes` makes it.
    names : sequence of str, optional
        What messages call the frames.

    Returns
    -------
    AlignedStack

    Raises
    ------
    TypeError
        A frame is not an array of floats.
    ValueError
        A frame is not finite, too small or of another aspect; its motion is not believable: more
        than a quarter of the height or the width, or a scale beyond 0.8 to 1.25; or nothing is
        common to all.

    Warns
    -----
    UserWarning
        A frame does not fit in many places where that can be judged: things that moved, parallax.
        Or it has too little in common with the reference, and is left as it is. That is no error:
        a frame far out of focus, or without texture, may be in its place nevertheless.

    Notes
    -----
    Frames are estimated from the reference outwards, each against the reference itself, starting
    from the motion of its neighbour: motions may add up over the stack, errors do not. A frame that
    is still (`mcsc.alignment.motion.STILL`) is not touched.

    Every frame is asked for once here, and once more whenever it is used.
    """
    count = len(frames)
    if count < 2:
        raise InvalidValueError(f"frames holds {count} images; want at least 2")
    labels = tuple(f"frames[{m}]" for m in range(count)) if names is None else tuple(names)
    middle = count // 2 if reference is None else range(count)[reference]
    still = frames[middle]
    shape = (int(still.shape[-2]), int(still.shape[-1]))
    motions = [Motion(np.eye(3), shape, 1.0)] * count
    for side in (range(middle + 1, count), range(middle - 1, -1, -1)):
        start: Motion | None = None
        for m in side:
            check_aspect(frames[m].shape, still.shape, (labels[m], labels[middle]))
            frame = sized(frames[m], shape)
            refuse_distant(frame, still, (labels[m], labels[middle]))
            start = estimate_motion(frame, still, start=start, names=(labels[m], labels[middle]))
            if start.correlation < _DISTINCT:
                _warn_of_strangers(start, (labels[m], labels[middle]))
                motions[m] = Motion(np.eye(3), shape, start.correlation)
                start = None
                continue
            if not start.is_plausible:
                raise InvalidValueError(
                    f"{labels[m]} would have to be {start.words} to lie on {labels[middle]}, which "
                    "is implausible for frames of one stack: do they show the same scene?"
                )
            motions[m] = start
            _warn_of_misfit(frame, still, start, (labels[m], labels[middle]))
    window = _common_window(motions) if crop else (slice(None), slice(None))
    return AlignedStack(frames, tuple(motions), middle, labels, crop, window, known)


def check_aspect(shape: Sequence[int], wanted: Sequence[int], names: tuple[str, str]) -> None:
    """Refuse an image that could lie on another one only if it were stretched.

    Raises
    ------
    ValueError
        Height against width differs by more than 2 %.
    """
    (h, w), (tall, wide) = shape[-2:], wanted[-2:]
    if abs((h / w) / (tall / wide) - 1) > _ASPECT:
        raise InvalidValueError(
            f"{names[0]} is {h} x {w}, {names[1]} is {tall} x {wide}, which is another aspect "
            "ratio: want images of the same one; crop both to the part that they have in common"
        )


def sized(frame: Floats, shape: tuple[int, int]) -> Floats:
    """Bring a frame to (H, W)."""
    return frame if frame.shape[-2:] == shape else imresize(frame, shape)


def refuse_distant(moving: Floats, reference: Floats, names: tuple[str, str]) -> None:
    """Refuse an image that shows the scene from too far aside to be aligned.

    Raises
    ------
    ValueError
        See `mcsc.alignment.distant.distant_shift`.
    """
    shift = distant_shift(moving, reference)
    if shift is not None:
        raise InvalidValueError(
            f"{names[0]} is displaced against {names[1]} {shift.words}, which is implausible for "
            "images to be aligned: leave it out, or crop both to the part that they have in common"
        )


def misfit(moving: Floats, reference: Floats) -> float:
    """Return in which share of the blocks of 64 pixels and more two aligned images do not fit.

    Only of those in which a shift is distinct (`mcsc.images.registration.estimate_shift`): it is 3
    pixels or more. 0 if none is.
    """
    height, width = reference.shape[-2:]
    edges = [
        np.linspace(0, n, max(1, min(_BLOCKS, n // _BLOCK)) + 1).astype(int)
        for n in (height, width)
    ]
    judged, wrong = 0, 0
    for top, bottom in zip(edges[0], edges[0][1:], strict=False):
        for left, right in zip(edges[1], edges[1][1:], strict=False):
            block = (..., slice(top, bottom), slice(left, right))
            shift = estimate_shift(reference[block], moving[block])
            if shift.confidence >= CONFIDENT:
                judged += 1
                wrong += max(abs(shift.rows), abs(shift.columns)) >= DISPLACED
    return wrong / judged if judged else 0.0


def _warn_of_misfit(frame: Floats, still: Floats, motion: Motion, names: tuple[str, str]) -> None:
    aligned = frame if motion.is_still else moved(frame, motion)[0]
    share = misfit(aligned, still)
    if share >= _UNFIT:
        warn_user(
            f"{names[0]} does not fit on {names[1]} in {100 * share:.0f} % of the places where "
            "that can be judged: objects have moved, or lie at very different distances"
        )


def _warn_of_strangers(motion: Motion, names: tuple[str, str]) -> None:
    warn_user(
        f"{names[0]} has too little in common with {names[1]} to be aligned (correlation "
        f"{motion.correlation:.2f}), and is left as it is: if it shows another scene, leave it out"
    )


def _common_window(motions: Sequence[Motion]) -> tuple[slice, slice]:
    """A large window in which all have data: the worst border is cut off, again and again."""
    inside = np.ones(motions[0].shape, bool)
    for motion in motions:
        if not motion.is_still:
            inside &= motion.inside()
    top, left = 0, 0
    bottom, right = inside.shape
    while bottom - top > _UNKNOWN_IN_ALL and right - left > _UNKNOWN_IN_ALL:
        part = inside[top:bottom, left:right]
        if part.all():
            return slice(top, bottom), slice(left, right)
        shares = [1 - line.mean() for line in (part[0], part[-1], part[:, 0], part[:, -1])]
        worst = int(np.argmax(shares))
        if shares[worst] == 0:  # holes inside: no border is to blame
            break
        top, bottom = top + (worst == 0), bottom - (worst == 1)
        left, right = left + (worst == 2), right - (worst == 3)
    raise InvalidValueError(
        "no part of the scene is in all frames, so they cannot be cropped to it"
    )
