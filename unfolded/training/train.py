r"""Training by gradients, on Lightning: checkpoints, resuming, logs, several GPUs.

.. math:: \min \; \frac{1}{n} \sum \| \mathrm{net}(x, y) - z \|^2

over patches that are drawn as they are needed. Patch number i is a function of the seed and i
alone, and a batch of the number of its step: a run that was killed goes on, from its checkpoint, as
if it never had been.
"""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mcsc.checks import check_whole
from mcsc.errors import InvalidTypeError, InvalidValueError, MissingExtraError

from ..network.cunet import CUNet
from .data import Patches, as_tensors, scene_name
from .evaluation import rmse

SCHEDULES = ("paper", "cosine")
LAST = "last.ckpt"


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the defaults are the paper's.

    Attributes
    ----------
    epochs : int
        Rounds; after each the network is measured on the validation scenes.
    patches_per_epoch : int
        Patches drawn in a round.
    patch : int
        Side of the patches, pixels.
    batch_size : int
        Patches a step, on each device.
    learning_rate : float
        Of Adam, at the start.
    schedule : {"paper", "cosine"}
        Times 0.9 every 50 epochs; or half a cosine down to nothing at the last step, after a
        hundredth of all steps of rising: better where epochs are few.
    seed : int
        Of the patches.
    clip_norm : float, optional
        Shorten gradients of a larger norm: for large rates.
    soften : float
        Blur the images of a patch and what is to be made of them alike, by a Gaussian whose
        standard deviation is drawn from 0 to so many pixels. For fusion: a network that has only
        seen sharp targets sharpens photographs that are soft.
    noise : float
        Add white Gaussian noise to both images of a patch, of a standard deviation that is drawn
        from 0 to so many grey levels of 255. For fusion: a network that has only seen clean images
        takes what a photograph's compression leaves for detail.
    """

    epochs: int = 200
    patches_per_epoch: int = 150_000
    patch: int = 64
    batch_size: int = 64
    learning_rate: float = 1e-4
    schedule: str = "paper"
    seed: int = 0
    clip_norm: float | None = None
    soften: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (
            ("epochs", 1), ("patches_per_epoch", 1), ("patch", 1), ("batch_size", 1), ("seed", 0),
        ):  # fmt: skip
            object.__setattr__(self, name, check_whole(name, getattr(self, name), least=least))
        if not (isinstance(self.learning_rate, (int, float)) and 0 < self.learning_rate < math.inf):
            raise InvalidValueError(
                f"learning_rate must be a number > 0, found {self.learning_rate!r}"
            )
        if self.clip_norm is not None and not 0 < self.clip_norm < math.inf:
            raise InvalidValueError(f"clip_norm must be a number > 0, found {self.clip_norm!r}")
        for name in ("soften", "noise"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 <= value < math.inf):
                raise InvalidValueError(f"{name} must be a number >= 0, found {value!r}")
        if self.schedule not in SCHEDULES:
            raise InvalidValueError(
                f"schedule must be one of {', '.join(SCHEDULES)}; found {self.schedule!r}"
            )

    def steps_per_epoch(self, devices: int = 1) -> int:
        """Return the optimiser's steps in a round."""
        return max(1, round(self.patches_per_epoch / (self.batch_size * devices)))

    def factor(self, step: int, per_epoch: int) -> float:
        """Return what the learning rate is multiplied by at a step, counted from 0."""
        if self.schedule == "paper":
            return float(0.9 ** (step // per_epoch // 50))
        total = self.epochs * per_epoch
        rising = max(1, total // 100)
        return min((step + 1) / rising, 0.5 * (1 + math.cos(math.pi * step / total)))


@dataclass
class TrainingHistory:
    """What was seen on the way: one entry a round."""

    step: list[int] = field(default_factory=list)
    """Steps of the optimiser so far."""
    seconds: list[float] = field(default_factory=list)
    """Of training so far, with the cutting of patches, without validation; a resumed run adds to
    those before it."""
    loss: list[float] = field(default_factory=list)
    """Mean squared error on the patches of the round."""
    validation: list[float] = field(default_factory=list)
    """Root mean square error on the validation scenes, of 255; empty without such scenes."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network and how it came to be."""

    net: CUNet
    """In evaluation mode."""
    recipe: Recipe
    history: TrainingHistory
    device: str
    """What it was trained on: "cpu", or the name of a GPU."""
    devices: int
    """How many of them."""
    completed: bool
    """False: it was interrupted."""
    error: float | None = None
    """Of these weights on the validation scenes, of 255; None without such scenes."""


def train(
    net: CUNet,
    scenes: Sequence[Any],
    *,
    validation: Sequence[Any] = (),
    recipe: Recipe | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    checkpoint_every: int = 200,
    identity: Mapping[str, Any] | None = None,
    patience: int | None = None,
    accelerator: str = "auto",
    devices: int | str = "auto",
    precision: str = "32-true",
    workers: int = 0,
    progress: bool = False,
) -> Trained:
    """Train a network on scenes.

    Parameters
    ----------
    net : CUNet
        Trained in place.
    scenes : sequence of (x, y, z)
        Images and targets, arrays or tensors (C, H, W) or (N, C, H, W) of floats. A scene is
        indexed when a patch of it is wanted: a sequence may read files.
    validation : sequence of (x, y, z)
        Whole scenes that the network is measured on after each round, and not trained on.
    recipe : Recipe, optional
        Numbers of steps, rates, sizes. Default: the paper's.
    folder : path, optional
        For checkpoints (``last.ckpt``), CSV and TensorBoard logs; made if it is missing. Without
        one, nothing is written.
    resume : bool
        Go on from the folder's checkpoint, if there is one.
    checkpoint_every : int
        Steps between checkpoints; there is one after every round, too.
    identity : mapping of str to plain values, optional
        What else a run is known by, such as its data: a checkpoint with others is refused.
    patience : int, optional
        Stop after so many rounds in which the validation error did not fall, and take the weights
        of the best round.
    accelerator, devices, precision
        As Lightning's `Trainer` takes them: ``"cpu"``, ``"gpu"``; a number of devices (several
        train with DDP); ``"32-true"``, ``"bf16-mixed"``.
    workers : int
        Processes that cut patches.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Trained
        On the same machine with the same number of threads, its weights are a function of the
        arguments, bit for bit on a CPU, interrupted and resumed or not.

    Raises
    ------
    TypeError, ValueError
        Scenes do not fit the network or each other, an option is out of range, there is no such
        device, the checkpoint is of another network, recipe or identity, or damaged; or the
        training diverged: the loss is no longer finite.
    ModuleNotFoundError
        Lightning is not installed.

    Notes
    -----
    Adam on the mean squared error. Ctrl-C ends the training: what was learned is returned, with
    `completed` False; a later run goes on from the last checkpoint.

    On a CPU, float32 takes the path of `unfolded.engines.cpu_training`.
    """
    recipe = Recipe() if recipe is None else recipe
    if not isinstance(net, CUNet):
        raise InvalidTypeError(f"net must be a CUNet, found {type(net).__name__}")
    if patience is not None and not (validation and patience >= 1):
        raise InvalidValueError("patience must be >= 1, and needs validation scenes")
    if resume and folder is None:
        raise InvalidValueError("resume needs the folder with the checkpoint")
    if net.target_common.weight.dtype != torch.float32:
        raise InvalidTypeError(
            f"training is in float32, the network is in {net.target_common.weight.dtype}: call "
            "net.float() first"
        )
    if not isinstance(checkpoint_every, int) or checkpoint_every < 1:
        raise InvalidValueError(
            f"checkpoint_every must be a whole number >= 1, found {checkpoint_every}"
        )
    lightning = _lightning()
    patches = Patches(
        scenes, recipe.patch, recipe.seed, net.configuration, soften=recipe.soften,
        noise=recipe.noise,
    )  # fmt: skip
    held_out = [
        as_tensors(triple, f"validation {scene_name(validation, i)}", net.configuration)
        for i, triple in enumerate(validation)
    ]
    from .lightning_module import Checkpoints, Module, Recorder

    module = Module(net, recipe)
    recorder = Recorder()
    callbacks: list[Any] = [recorder]
    loggers: Any = False
    checkpoint = None
    if folder is not None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint = find_checkpoint(folder, resume=resume)
        loggers = _loggers(folder)
    best = None
    if patience is not None:
        from .lightning_module import Best

        best = Best(patience)
        callbacks.append(best)
    if progress:
        from lightning.pytorch.callbacks import RichProgressBar

        callbacks.append(RichProgressBar())
    if checkpoint is not None:
        callbacks.append(Checkpoints(checkpoint, checkpoint_every))
    with _quiet():
        trainer = _trainer(
            lightning,
            accelerator=accelerator,
            devices=devices,
            precision=precision,
            max_epochs=recipe.epochs,
            gradient_clip_val=recipe.clip_norm,
            callbacks=callbacks,
            logger=loggers,
            enable_checkpointing=False,
            enable_progress_bar=progress,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
        )
        per_epoch = recipe.steps_per_epoch(trainer.world_size)
        module.per_epoch = per_epoch
        module.identify({**(identity or {}), "devices": trainer.world_size})
        start = None
        if checkpoint is not None and checkpoint.exists():
            _check(checkpoint, module)
            start = str(checkpoint)
        loader = _Loader(
            patches,
            batch_sampler=_Steps(trainer, recipe.batch_size, per_epoch),
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        scenes_loader = DataLoader(_Scenes(held_out), batch_size=None) if held_out else None
        completed = True
        net.train()
        before = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(module, loader, scenes_loader, ckpt_path=start, weights_only=True)
        except (KeyboardInterrupt, SystemExit):
            # Lightning turns Ctrl-C into an exit, when all is put away.
            completed = False
        finally:
            # It also has Ctrl-C ignored from then on.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, before)
        completed = completed and not trainer.interrupted
    if best is not None:
        best.restore(net)
    net.cpu().eval()
    error = rmse(net, held_out) if held_out else None
    device = _device_name(trainer.strategy.root_device)
    return Trained(net, recipe, recorder.history, device, trainer.world_size, completed, error)


class _Scenes(Dataset[tuple[Tensor, Tensor, Tensor]]):
    def __init__(self, triples: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
        self._triples = triples

    def __len__(self) -> int:
        return len(self._triples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        return self._triples[index]


class _Steps(Sampler[list[int]]):
    """Numbers of the patches of each step, from the trainer's step to the end of its round."""

    def __init__(self, trainer: Any, batch_size: int, per_epoch: int) -> None:
        self._trainer, self._batch, self._per_epoch = trainer, batch_size, per_epoch

    def __len__(self) -> int:
        return self._per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        first = self._trainer.global_step
        last = (first // self._per_epoch + 1) * self._per_epoch
        ranks, rank = self._trainer.world_size, self._trainer.global_rank
        for step in range(first, last):
            start = (step * ranks + rank) * self._batch
            yield list(range(start, start + self._batch))


class _Loader(DataLoader[tuple[Tensor, Tensor, Tensor]]):
    """A loader that can be resumed: its place is the trainer's step, so it has no state."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass


# ------------------------------------------------------------------------- Lightning
def _lightning() -> Any:
    try:
        import lightning.pytorch
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "training needs Lightning: pip install 'mcsc[train]'", name=error.name
        ) from error
    return lightning.pytorch


def find_checkpoint(folder: Path, *, resume: bool) -> Path:
    """Return where a folder's checkpoint is, or will be.

    Raises
    ------
    ValueError
        There is one already, and the run is not to be resumed.
    """
    path = folder / LAST
    if path.exists() and not resume:
        raise InvalidValueError(f"{path} is there already: resume from it, or give another folder")
    return path


def _trainer(lightning: Any, **options: Any) -> Any:
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    try:
        return lightning.Trainer(**options)
    except MisconfigurationException as error:  # no such accelerator, too many devices
        raise InvalidValueError(str(error)) from error


def _loggers(folder: Path) -> list[Any]:
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    # It begins a file anew: a resumed run writes another one.
    runs = len(list(folder.glob("csv*")))
    found: list[Any] = [CSVLogger(folder, name="", version=f"csv-{runs}" if runs else "csv")]
    with contextlib.suppress(ModuleNotFoundError):  # neither tensorboard nor tensorboardX is there
        found.append(TensorBoardLogger(folder, name="", version="tensorboard"))
    return found


def _check(path: Path, module: Any) -> None:
    """Refuse a checkpoint that is damaged or of another run, before any work."""
    damaged = f"{path} is not a checkpoint of mcsc train, or it is damaged"
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        found = saved["hyper_parameters"]
    except Exception as error:
        raise InvalidValueError(damaged) from error
    wanted = dict(module.hparams)
    if found.keys() != wanted.keys():
        raise InvalidValueError(damaged)
    # A checkpoint of before there was a field was made as its default says.
    defaults = {f.name: f.default for f in fields(Recipe)}
    for part in wanted:
        for key, value in wanted[part].items():
            before = found[part].get(key, defaults.get(key))
            if before != value:
                raise InvalidValueError(
                    f"{path} is of another run: {key} was {before!r}, now it is {value!r}"
                )


class _quiet:
    """Keep Lightning's advice to itself: about workers, loggers and hardware that is not used."""

    _NAMES = ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric")
    _MESSAGES = (
        r".*does not have many workers.*",
        r".*no `val_dataloader`.*",
        r".*Checkpoint directory .* exists and is not empty.*",
        r".*GPU available but not used.*",
        r".*smaller than the logging interval.*",
        r".*Experiment logs directory .* exists.*",
        r".*[Ii]sinstance.*LeafSpec.*",
        r".*Starting from v1\.9\.0.*",
    )

    def __enter__(self) -> None:
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        for message in self._MESSAGES:
            warnings.filterwarnings("ignore", message=message)
        self._levels = {name: logging.getLogger(name).level for name in self._NAMES}
        for name in self._NAMES:
            logging.getLogger(name).setLevel(logging.WARNING)

    def __exit__(self, *error: Any) -> None:
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
        self._warnings.__exit__(*error)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
