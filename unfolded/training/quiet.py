"""Lightning without its advice: about workers, loggers and hardware that is not used."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def quiet() -> Iterator[None]:
    """Silence it for a while."""
    levels = {name: logging.getLogger(name).level for name in _NAMES}
    with warnings.catch_warnings():
        for message in _MESSAGES:
            warnings.filterwarnings("ignore", message=message)
        for name in _NAMES:
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
