r"""Training by gradients, on Lightning: checkpoints, resuming, logs, several GPUs.

.. math:: \min \; \frac{1}{n} \sum \| \mathrm{net}(x, y) - z \|^2

over patches that are drawn as they are needed. Patch number i is a function of the seed and i
alone, and a batch of the number of its step: a run that was killed goes on, from its checkpoint, as
if it never had been.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from mcsc.checks import check_callback, check_whole
from mcsc.errors import InvalidTypeError, InvalidValueError, MissingExtraError
from mcsc.files import make_folder
from mcsc.solvers.driver import deferred_interrupt
from mcsc.types import Device

from ..network.cunet import CUNet
from ..network.devices import torch_device
from .batches import patch_loader, scene_loader
from .checkpoints import check_checkpoint, check_identity, find_checkpoint
from .evaluation import rmse
from .history import Callback, TrainingHistory
from .patches import Patches
from .recipe import Arithmetic, Recipe
from .scenes import as_scene, scene_name


@dataclass(frozen=True, eq=False)
class Trained:
    """Result of `train`: the trained network, and how it was trained."""

    net: CUNet
    """The network, in evaluation mode."""
    recipe: Recipe
    """Settings of the training."""
    history: TrainingHistory
    """Loss and validation error after each epoch."""
    device: str
    """What it was trained on: "cpu", or the name of a GPU."""
    devices: int
    """Number of devices."""
    steps: int
    """Number of steps of the optimiser, with those before a resumption."""
    seconds: float
    """Time that these steps took."""
    completed: bool
    """False if Ctrl-C or the callback stopped the training."""
    error: float | None = None
    """Root mean square error of these weights on the validation scenes, as these are given, in grey
    levels of 255; None without such scenes."""
    best_step: int | None = None
    """Step whose weights these are, if patience kept those of the best epoch; None: the last."""


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
    device: Device = "auto",
    devices: int | Literal["auto"] = "auto",
    precision: Arithmetic = "32-true",
    workers: int = 0,
    callback: Callback | None = None,
    progress: bool = False,
) -> Trained:
    """Train a network on scenes.

    Parameters
    ----------
    net : CUNet
        The network; it is trained in place.
    scenes : sequence of (x, y, z), or (x, y, z, sigma)
        Images and targets, arrays or tensors (C, H, W) or (N, C, H, W) of floats. A scene is
        indexed when a patch of it is wanted: a sequence may read files. A network that is
        `noise_aware` needs the noise of x with them, on the images' scale; or two of these, one
        scene with the same noise in two strengths: each patch is drawn between them (what is linear
        in the noise is exact).
    validation : sequence of (x, y, z), or (x, y, z, sigma)
        Whole scenes on which the error is measured after each epoch; they are not trained on.
    recipe : Recipe, optional
        Numbers of steps, learning rate, sizes. Default: those of the paper.
    folder : path, optional
        Folder for checkpoints (``last.ckpt``) and for CSV and TensorBoard logs; it is made if it
        does not exist. Without one, nothing is written.
    resume : bool
        Continue from the checkpoint in the folder, if there is one.
    checkpoint_every : int
        Number of steps between checkpoints; one is also written after every epoch.
    identity : mapping of str to plain values, optional
        Further facts that identify a run, such as its data: a checkpoint with other ones is
        refused.
    patience : int, optional
        Stop after this number of epochs in which the validation error did not fall, and take the
        weights of the best epoch. A run that is resumed may have more of it or less, but not none
        if it had some, or some if it had none.
    device : {"auto", "cpu", "cuda"}
        Where to train; "auto": on a GPU, if PyTorch finds one.
    devices : int or "auto"
        Number of devices; several train together (DDP), each in a process of its own.
    precision : {"32-true", "bf16-mixed", "16-mixed"}
        Floating-point precision, as Lightning's `Trainer` takes it.
    workers : int
        Number of processes that prepare patches.
    callback : callable, optional
        Called with a `TrainingProgress` after every epoch; a true value or StopIteration stops. A
        later run with `resume` goes on from there.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    Trained
        On the same machine with the same number of threads, its weights are a function of the
        arguments, bit for bit on a CPU, interrupted and resumed or not. PyTorch's global random
        state is neither used nor changed.

    Raises
    ------
    TypeError, ValueError
        Scenes do not fit the network or each other, an option is out of range, the checkpoint is of
        another network, recipe or identity, or damaged; or the training diverged: the loss is no
        longer finite.
    OSError
        `folder` cannot be made or written to.
    RuntimeError
        There is no such device.
    ModuleNotFoundError
        Lightning is not installed.

    Notes
    -----
    Steps are those of the recipe's optimiser on its loss. Patches are cut from the scenes at random
    places, and turned or mirrored. Ctrl-C or SIGTERM ends the training after the step: what was
    learned is returned, with `completed` False, and a checkpoint written, from which a later run
    goes on; a second one ends it at once. However it ends, the network is left on the CPU, in
    evaluation mode.

    `unfolded.engines.training` serves in float32 and in bf16-mixed, which on a CPU needs one that
    multiplies in bfloat16 (AMX, AVX-512 BF16), where a step takes less than half as long. On one
    GPU the passes of a step are launched as CUDA graphs.
    """
    recipe = Recipe() if recipe is None else recipe
    if not isinstance(recipe, Recipe):
        raise InvalidTypeError(f"recipe must be a Recipe, found {type(recipe).__name__}")
    if not isinstance(net, CUNet):
        raise InvalidTypeError(f"net must be a CUNet, found {type(net).__name__}")
    if net.target_common.weight.dtype != torch.float32:
        raise InvalidTypeError(
            f"training is in float32, the network is in {net.target_common.weight.dtype}: call "
            "net.float() first"
        )
    if not any(weight.requires_grad for weight in net.parameters()):
        raise InvalidValueError(
            "no weight of net is to be trained: call net.requires_grad_() first, for all of them"
        )
    for name, given in (("scenes", scenes), ("validation", validation)):
        if isinstance(given, Mapping) or not hasattr(given, "__len__"):
            raise InvalidTypeError(
                f"{name} must be a sequence of (x, y, z), found {type(given).__name__}"
            )
    if patience is not None:
        patience = check_whole("patience", patience)
        if len(validation) == 0:
            raise InvalidValueError("patience needs validation scenes")
    check_identity(identity or {})
    if resume and folder is None:
        raise InvalidValueError("resume needs the folder with the checkpoint")
    check_callback(callback)
    checkpoint_every = check_whole("checkpoint_every", checkpoint_every)
    workers = check_whole("workers", workers, least=0)
    if devices != "auto":
        devices = check_whole("devices", devices)
    for name, value, known in (("device", device, Device), ("precision", precision, Arithmetic)):
        if value not in get_args(known):
            raise InvalidValueError(
                f"{name} must be one of {', '.join(get_args(known))}; found {value!r}"
            )
    if device == "cuda":
        torch_device(device)
    lightning = _lightning()
    patches = Patches(
        scenes, recipe.patch, recipe.seed, net.configuration, soften=recipe.soften,
        noise=recipe.noise, candidates=recipe.candidates,
    )  # fmt: skip
    held_out = [
        as_scene(one, f"validation {scene_name(validation, i)}", net.configuration).alone()
        for i, one in enumerate(validation)
    ]
    checkpoint = None
    if folder is not None:
        folder = Path(folder)
        make_folder(folder)
        checkpoint = find_checkpoint(folder, resume=resume)

    from .callbacks import (
        Average,
        Best,
        Caller,
        Checkpoints,
        Interrupted,
        Recorder,
        UnitBall,
        WholeFiles,
    )
    from .lightning_module import Module, quiet

    module = Module(net, recipe)
    recorder = Recorder()
    best = None if patience is None else Best(patience)
    caller = None if callback is None else Caller(callback, recorder)
    # In this order: a checkpoint holds what the others know of its round.
    ball = UnitBall() if recipe.unit_ball else None
    average = None if recipe.average is None else Average(recipe.average)
    listeners = [ball, recorder, best, average, caller, _bar() if progress else None]
    if checkpoint is not None:
        listeners.append(Checkpoints(checkpoint, checkpoint_every))
    with quiet(), deferred_interrupt() as interrupt:
        listeners.append(Interrupted(interrupt, checkpoint))
        trainer = _trainer(
            lightning,
            accelerator=device,
            devices=devices,
            num_nodes=machines(os.environ),
            precision=precision,
            max_epochs=recipe.epochs,
            gradient_clip_val=recipe.clip_norm,
            # All batches are of one size: it pays to try which convolution is the fastest for it.
            benchmark=device != "cpu" and torch.cuda.is_available(),
            callbacks=[one for one in listeners if one is not None],
            plugins=[WholeFiles()],
            logger=False if folder is None else _loggers(folder),
            enable_checkpointing=False,
            enable_progress_bar=progress,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
        )
        module.per_epoch = recipe.steps_per_epoch(trainer.world_size)
        module.identify({**(identity or {}), "devices": trainer.world_size})
        start = None
        if checkpoint is not None and checkpoint.exists():
            check_checkpoint(checkpoint, dict(module.hparams), patient=best is not None)
            start = str(checkpoint)
        loader = patch_loader(patches, trainer, recipe.batch_size, module.per_epoch, workers)
        measured = scene_loader(held_out) if held_out else None
        net.train()
        completed = True
        try:
            with _keep_ctrl_c():
                trainer.fit(module, loader, measured, ckpt_path=start, weights_only=True)
        except (KeyboardInterrupt, SystemExit):
            # Lightning turns Ctrl-C into an exit, when all is put away.
            completed = False
        finally:
            net.cpu().eval()
    if average is not None:
        average.restore(net)
    if best is not None:
        best.restore(net)
    return Trained(
        net=net,
        recipe=recipe,
        history=recorder.history,
        device=_device_name(trainer.strategy.root_device),
        devices=trainer.world_size,
        steps=recorder.steps,
        seconds=recorder.seconds,
        completed=completed and not trainer.interrupted and not (caller and caller.stopped),
        error=rmse(net, held_out) if held_out else None,
        best_step=None if best is None else recorder.history.best_step,
    )


@contextlib.contextmanager
def _keep_ctrl_c() -> Iterator[None]:
    """Lightning has Ctrl-C ignored once it was pressed: put back what it did before."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def machines(environment: Mapping[str, str]) -> int:
    """How many machines train together: what torchrun or SLURM say to each of their processes."""
    if "TORCHELASTIC_RUN_ID" in environment:
        return int(environment["WORLD_SIZE"]) // int(environment["LOCAL_WORLD_SIZE"])
    if "SLURM_NTASKS" in environment and environment.get("SLURM_JOB_NAME") not in (
        "bash",
        "interactive",
    ):
        return int(environment.get("SLURM_NNODES", "1"))
    return 1


def device_count(device: Device, devices: int | Literal["auto"]) -> int:
    """How many devices a training has by what `train` is given, of all machines."""
    each: int = 1
    if devices != "auto":
        each = devices
    elif device != "cpu" and torch.cuda.is_available():
        each = torch.cuda.device_count()
    return each * machines(os.environ)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


# ------------------------------------------------------------------------- Lightning
def _lightning() -> Any:
    try:
        import lightning.pytorch
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "training needs Lightning: pip install 'mcsc[train]'", name=error.name
        ) from error
    return lightning.pytorch


def _trainer(lightning: Any, **options: Any) -> Any:
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    try:
        return lightning.Trainer(**options)
    except MisconfigurationException as error:  # too many devices
        raise InvalidValueError(str(error)) from error


def _bar() -> Any:
    from lightning.pytorch.callbacks import RichProgressBar

    return RichProgressBar(console_kwargs={"stderr": True})


def _loggers(folder: Path) -> list[Any]:
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    # It begins a file anew: a resumed run writes another one.
    runs = len(list(folder.glob("csv*")))
    found: list[Any] = [CSVLogger(folder, name="", version=f"csv-{runs}" if runs else "csv")]
    with contextlib.suppress(ModuleNotFoundError):  # neither tensorboard nor tensorboardX is there
        found.append(TensorBoardLogger(folder, name="", version="tensorboard"))
    return found
