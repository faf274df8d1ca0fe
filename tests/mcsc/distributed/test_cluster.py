"""Clusters that are started here."""

from __future__ import annotations

import contextlib
import signal
from typing import ClassVar

import pytest

pytest.importorskip("distributed")

import distributed

from mcsc.distributed.cluster import opened


class Fake(contextlib.AbstractContextManager):
    """A cluster or its client, in whose start Ctrl-C is pressed."""

    closed: ClassVar[list[str]] = []

    def __init__(self, *given, **options):
        self.name = "client" if given else "cluster"
        for _ in range(0 if given else options.get("n_workers", 0)):
            signal.raise_signal(signal.SIGINT)

    def __exit__(self, *_):
        self.closed.append(self.name)

    def register_plugin(self, *_, **__):
        """As a client does."""


def test_ctrl_c_waits_until_a_cluster_can_be_closed_again(monkeypatch):
    monkeypatch.setattr(Fake, "closed", [])
    monkeypatch.setattr(distributed, "LocalCluster", Fake)
    monkeypatch.setattr(distributed, "Client", Fake)
    with pytest.raises(KeyboardInterrupt), opened(workers=1):
        pytest.fail("nothing is to be begun")
    assert Fake.closed == ["client", "cluster"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_does_not_wait(monkeypatch):
    monkeypatch.setattr(Fake, "closed", [])
    monkeypatch.setattr(distributed, "LocalCluster", Fake)
    with pytest.raises(KeyboardInterrupt), opened(workers=2):
        pytest.fail("nothing is to be begun")
    assert Fake.closed == []
