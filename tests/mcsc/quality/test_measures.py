"""The table of measures."""

from __future__ import annotations

import numpy as np
import pytest

from mcsc.quality.measures import MEASURES, Measure, add_measure, measures_of, remove_measure
from mcsc.tasks.task import get_task
from tests.mcsc.quality.photographs import photograph, sources


def mean_error(image, target):
    return float(np.mean(np.abs(image - target)))


@pytest.fixture
def toy():
    measure = Measure("MAE", "restoration", mean_error, larger_is_better=False)
    add_measure(measure)
    yield measure
    MEASURES.pop("MAE", None)


def test_every_entry_measures_images_of_its_kind():
    for measure in measures_of("restoration"):
        x, y = photograph(), 0.9 * photograph() + 0.05
        assert (measure.function(x, x) > measure.function(y, x)) is measure.larger_is_better
    for measure in measures_of("fusion"):
        images = sources(2, (50, 61))
        assert np.isfinite(measure.function(images[0], images))
    assert {*measures_of("restoration"), *measures_of("fusion")} == set(MEASURES.values())


def test_a_measure_from_outside_is_one_of_a_task(toy):
    assert get_task("depth-sr").measures[-1] is toy
    assert toy not in get_task("medical").measures
    assert remove_measure("MAE") is toy
    assert toy not in get_task("depth-sr").measures


def test_refusals(toy):
    with pytest.raises(ValueError, match="there is a measure MAE already"):
        add_measure(toy)
    with pytest.raises(ValueError, match="'restoration' or 'fusion', found 'denoising'"):
        add_measure(Measure("L1", "denoising", mean_error))
    with pytest.raises(TypeError, match="measure must be a Measure, found function"):
        add_measure(mean_error)
    with pytest.raises(ValueError, match="there is no measure L1: want one of RMSE, PSNR"):
        remove_measure("L1")
