"""Which codes lie where: what a search through all of them finds."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("distributed")

from mcsc.distributed.cover import Cover
from mcsc.distributed.layers import Layer, Layers, moved, overlap


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_those_near_a_place_are_found_in_the_order_in_which_they_were_put(boundary):
    cover = Cover((0, 40, 80, 130), (0, 50, 90), 5, boundary)
    layers, searched = Layers(cover), []
    regions = [region for colour in cover.colours for region in colour]
    rng = np.random.default_rng(0)
    for number in range(60):
        region = regions[rng.integers(len(regions))]
        layer = Layer(region, f"codes-{number}.npz")
        layers.put(layer)
        searched = [old for old in searched if old.region != region] + [layer]
    assert list(layers) == searched
    assert len(layers) == len(searched)
    for region in regions + cover.blocks:
        place = cover.reach(cover.field(region))
        found = [
            layer
            for layer in searched
            if any(overlap(moved(layer.region, shift), place) for shift in cover.shifts())
        ]
        assert layers.within(place) == found
    assert 0 < len(layers.within((slice(60, 61), slice(60, 61)))) < len(searched)
