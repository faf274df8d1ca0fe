"""What happens on the way through a training: history, the best weights, callback, checkpoints.

Apart from `unfolded.training.train`, so that Lightning is imported only when something is trained.
"""

from __future__ import annotations

import copy
import dataclasses
import io
import signal
import threading
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mcsc.errors import InvalidValueError
from mcsc.files import atomic_write
from mcsc.solvers.driver import Interrupt

from ..network.cunet import CUNet
from ..network.layers import Synthesis
from .history import Callback, TrainingHistory, TrainingProgress
from .scenes import as_float


class Recorder(lightning.Callback):
    """Fills the history; it travels in the checkpoint."""

    def __init__(self) -> None:
        self.history = TrainingHistory()
        self._seconds = 0.0
        self._losses: list[Tensor] = []
        self._started = 0.0
        self.steps = 0

    @property
    def seconds(self) -> float:
        """Time of all steps, in seconds."""
        return self._seconds

    def on_train_start(self, *_: Any) -> None:
        """Start the clock; a training that is resumed within a round begins none."""
        self._started = time.perf_counter()

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start it again, so that what is between two rounds is left out."""
        self._started = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
        """Keep the loss and the time since the last step."""
        loss = outputs["loss"].detach()
        # On a GPU a look at the value would wait for it at every step.
        if loss.device.type == "cpu":
            _check_finite(loss, trainer.global_step)
        self._losses.append(loss)
        self.steps = trainer.global_step
        now = time.perf_counter()
        self._seconds += now - self._started
        self._started = now

    def on_validation_end(self, *_: Any) -> None:
        """Leave validation out of the time."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Write the round's entry; validation was before."""
        _check_finite(torch.stack(self._losses).sum(), trainer.global_step)
        history = self.history
        history.step.append(trainer.global_step)
        history.seconds.append(self._seconds)
        history.loss.append(float(torch.stack(self._losses).mean()))
        self._losses = []
        if "val_rmse" in trainer.callback_metrics:
            history.validation.append(float(trainer.callback_metrics["val_rmse"]))

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint keeps."""
        return {
            "history": dataclasses.asdict(self.history),
            "seconds": self._seconds,
            "steps": self.steps,
            "losses": [float(loss) for loss in self._losses],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.history.__dict__.update(state_dict["history"])
        self._seconds = state_dict["seconds"]
        steps = self.history.step[-1] if self.history.step else 0
        self.steps = state_dict.get("steps", steps)  # before there was such an entry
        self._losses = [as_float(loss) for loss in state_dict["losses"]]


class Best(lightning.Callback):
    """Keeps the weights of the best round, and stops when none was better for a while."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self._error = float("inf")
        self._since = 0
        self._weights: dict[str, Tensor] | None = None

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Stop at once a run that was stopped before, and is resumed."""
        if self._since >= self.patience:
            trainer.should_stop = True

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Compare."""
        error = float(trainer.callback_metrics["val_rmse"])
        self._since += 1
        if error < self._error:
            self._error, self._since = error, 0
            self._weights = copy.deepcopy(module.net.state_dict())
        if self._since >= self.patience:
            trainer.should_stop = True

    def restore(self, net: CUNet) -> None:
        """Give the network the best weights."""
        if self._weights is not None:
            net.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint keeps."""
        return {"error": self._error, "since": self._since, "weights": self._weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._error, self._since = state_dict["error"], state_dict["since"]
        self._weights = state_dict["weights"]


class Average(lightning.Callback):
    """Keeps a running average of the weights, which are measured in place of the last ones."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._step = 0
        self._mean: dict[str, Tensor] = {}
        self._last: dict[str, Tensor] = {}

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        """Take the new weights into the average."""
        if trainer.global_step == self._step:
            return  # no step was made
        self._step = trainer.global_step
        share = min(self._share, (1 + self._step) / (10 + self._step))
        weights = module.net.state_dict()
        with torch.no_grad():
            if not self._mean:
                self._mean = {name: weight.clone() for name, weight in weights.items()}
            # Those of a checkpoint may be elsewhere.
            self._mean = {name: self._mean[name].to(w.device) for name, w in weights.items()}
            means = list(self._mean.values())
            average: Any = get_ema_multi_avg_fn  # it has no types
            average(share)(means, list(weights.values()), None)

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        """Put the average in."""
        self._last = {name: w.clone() for name, w in module.net.state_dict().items()}
        self.restore(module.net)

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Go on with the last weights; `Best`, which comes before, has seen the average."""
        module.net.load_state_dict(self._last)

    def restore(self, net: CUNet) -> None:
        """Give the network the average."""
        if self._mean:
            net.load_state_dict(self._mean)

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint keeps."""
        return {"step": self._step, "mean": self._mean}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._step, self._mean = state_dict["step"], state_dict["mean"]


class UnitBall(lightning.Callback):
    """Shortens filters of D, over all channels, to a norm of 1 at most."""

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        """After the step."""
        net = module.net
        targets = {net.target_common, *net.target_unique}
        with torch.no_grad():
            for layer in net.modules():
                if isinstance(layer, Synthesis) and layer not in targets:
                    weight = layer.weight
                    norms = torch.linalg.vector_norm(weight, dim=(0, 2, 3), keepdim=True)
                    weight.div_(norms.clamp(min=1))


class Caller(lightning.Callback):
    """Shows the caller every round, and stops if asked to; the history is written before."""

    def __init__(self, callback: Callback, recorder: Recorder) -> None:
        self._callback, self._recorder = callback, recorder
        self.stopped = False

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Call; of several processes one speaks, and all hear the answer."""
        stop = trainer.is_global_zero and self._ask(trainer.current_epoch + 1)
        if trainer.strategy.broadcast(stop):
            self.stopped = trainer.current_epoch + 1 < trainer.max_epochs
            trainer.should_stop = True

    def _ask(self, epoch: int) -> bool:
        seen = self._recorder.history
        state = TrainingProgress(
            epoch=epoch,
            step=seen.step[-1],
            seconds=seen.seconds[-1],
            loss=seen.loss[-1],
            validation=seen.validation[-1] if seen.validation else None,
        )
        try:
            return bool(self._callback(state))
        except StopIteration:
            return True


class Checkpoints(lightning.Callback):
    """Saves the state every so many steps, and when a round and its validation are over.

    In the last step of a round it waits for that: a run that goes on from there begins a round.
    """

    def __init__(self, path: Path, every: int) -> None:
        self._path, self._every = path, every

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        """Save in the middle of a round."""
        step = trainer.global_step
        if step % self._every == 0 and step % module.per_epoch:
            trainer.save_checkpoint(self._path)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Save at its end; the last of the callbacks, when the others have their numbers."""
        trainer.save_checkpoint(self._path)


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside the one before, which it replaces when it is whole.

    Lightning's own writes it where the system keeps temporary files. From another disk it is copied
    from there, and a copy that ends early, as on a full disk, takes the place of the last good one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write it."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with atomic_write(path) as file:
            file.write(content.getbuffer())


class Interrupted(lightning.Callback):
    """After Ctrl-C or SIGTERM, saves the state at the end of the step and ends the training."""

    def __init__(self, interrupt: Interrupt, path: Path | None) -> None:
        self._interrupt, self._path = interrupt, path
        self._takes_sigterm = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, interrupt)
        )

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Take SIGTERM from Lightning, which would end a validation without a checkpoint.

        It puts back what was there before. Of several processes it tells each other.
        """
        if self._takes_sigterm and trainer.world_size == 1:
            signal.signal(signal.SIGTERM, self._interrupt)

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        """Look whether it came; the last of the callbacks."""
        if not self._interrupt.asked:
            return
        # In the last step of a round the others wait for its end: that is soon.
        if trainer.global_step % module.per_epoch == 0:
            return
        if self._path is not None:
            trainer.save_checkpoint(self._path)
        raise KeyboardInterrupt

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Look again at the end of a round, whose checkpoint is written already."""
        if self._interrupt.asked and trainer.current_epoch + 1 < trainer.max_epochs:
            raise KeyboardInterrupt


def _check_finite(loss: Tensor, step: int) -> None:
    if not bool(loss.isfinite()):
        raise InvalidValueError(
            f"the training diverged at step {step}: lower the learning rate, or clip gradients"
        )
