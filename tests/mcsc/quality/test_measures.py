"""The table of measures."""

from __future__ import annotations

import numpy as np
import pytest

from mcsc.quality.measures import MEASURES, Measure
from mcsc.tasks import get_task
from tests.mcsc.quality.photographs import photograph, sources


def mean_error(image, target):
    return float(np.mean(np.abs(image - target)))


@pytest.fixture
def toy():
    measure = Measure("MAE", "restoration", mean_error, larger_is_better=False)
    MEASURES.add("MAE", measure)
    yield measure
    if "MAE" in MEASURES:
        MEASURES.remove("MAE")


def test_every_entry_measures_images_of_its_kind():
    for name, measure in MEASURES.items():
        assert measure.name == name
        if measure.kind == "restoration":
            x, y = photograph(), 0.9 * photograph() + 0.05
            assert (measure.function(x, x) > measure.function(y, x)) is measure.larger_is_better
        else:
            images = sources(2, (50, 61))
            assert np.isfinite(measure.function(images[0], images))


def test_a_measure_from_outside_is_one_of_a_task(toy):
    assert get_task("depth-sr").measures[-1] is toy
    assert toy not in get_task("medical").measures
    MEASURES.remove("MAE")
    assert toy not in get_task("depth-sr").measures


def test_refusals(toy):
    with pytest.raises(ValueError, match="there is a measure MAE already"):
        MEASURES.add("MAE", toy)
    with pytest.raises(ValueError, match="must be 'restoration' or 'fusion', found 'denoising'"):
        Measure("L1", "denoising", mean_error)
    with pytest.raises(ValueError, match="measure must be one of RMSE, PSNR"):
        MEASURES.remove("L1")
