"""Learning for a task: its options, what is kept, and how it is stopped."""

from dataclasses import replace

import numpy as np
import pytest

import mcsc
from mcsc.learning import LearnOptions
from mcsc.tasks.learning import TaskScenes, TaskSettings, check_learn_task, learn_task
from mcsc.tasks.scenes import flipped, is_part, synthetic_scenes
from mcsc.tasks.shipped import shipped_dictionary
from mcsc.tasks.sparse_coding import prepare_for_dictionary
from mcsc.tasks.task import get_task
from tests.mcsc.tasks.pairs import pair

SMALL = {"n_common": 3, "n_unique": 3, "filter_size": 5, "passes": 1, "window": 32}


def learn_small(name="depth-sr", settings=None, **options):
    task = get_task(name)
    readers = synthetic_scenes(task, 2, (64, 64), seed=1)
    settings = settings or TaskSettings(flips=False)
    return learn_task(task, readers, settings, **(SMALL | options))


def test_settings_of_the_shipped_dictionaries_are_the_default():
    learned = learn_small().dictionary.metadata["learned"]
    shipped = shipped_dictionary("depth-sr").metadata["learned"]
    for name in ("relaxation", "update_pixels", "update_steps", "batch_size", "init"):
        assert learned[name] == shipped[name]
    assert learned["signal_weights"] == [1.0, get_task("depth-sr").guide_weight]


def test_windows_of_filters_and_targets_are_counted_apart():
    options = LearnOptions(max_windows=3, target_windows=5, ridge=(0.1, 1.0))
    learned = learn_small(options=options)
    fit = learned.target_fit
    assert (fit.windows, fit.ridges) == (5, (0.1, 1.0))
    assert 1 <= fit.validation_windows < 5
    assert fit.dictionary is learned.dictionary


def test_lam_of_every_group_is_kept():
    settings = TaskSettings(lam=(np.float32(0.25), 0.5, 0.125), flips=False)
    learned = learn_small(settings=settings)
    np.testing.assert_array_equal(learned.dictionary.lam, [0.25, 0.5, 0.125])
    assert learned.dictionary.metadata["task"] == "depth-sr"


def test_a_fusion_has_no_target_filters():
    learned = learn_small("multi-focus")
    assert learned.target_fit is None
    assert learned.completed
    assert learned.dictionary.metadata["learned"]["task"] == "fusion"


@pytest.mark.parametrize("stage", ["passes", "coding", "targets"])
def test_a_callback_stops_it_in_every_stage(stage):
    learned = learn_small(callback=lambda state: state.stage == stage)
    assert learned.stopped == "callback"
    assert learned.target_fit is None
    assert learned.dictionary.metadata["task"] == "depth-sr"
    assert learned.dictionary.n_maps == 9


def test_refusals():
    with pytest.raises(ValueError, match=r"set TaskSettings\.guide_weight instead"):
        learn_small(options=mcsc.LearnOptions(signal_weights=(1, 2)))
    with pytest.raises(TypeError, match="options must be a LearnOptions, found dict"):
        learn_small(options={"passes": 3})
    with pytest.raises(TypeError, match="memory"):
        learn_small(memory=3)


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("depth-sr", {"base": "mean"}, "base must be 'none', 'input', .* found 'mean'"),
        ("multi-focus", {"base": "guided"}, "base must be 'none', 'low' or 'mean', found 'guided'"),
        ("flash-denoise", {"base": "injected"}, "base cannot be 'injected' in flash-denoise"),
        (
            "multispectral-sr",
            {"base": "injected", "colour_guide": True},
            "base cannot be 'injected' in multispectral-sr",
        ),
        (
            "multispectral-sr",
            {"base": "injected", "all_channels": True},
            "base cannot be 'injected' in multispectral-sr",
        ),
        ("multi-focus", {"all_channels": True}, "multi-focus is a fusion, which codes the lumas"),
        ("multi-focus", {"colour_guide": True}, "colour_guide is for restorations: multi-focus h"),
        ("depth-sr", {"strength": -1.0}, "strength must be a finite number > 0"),
        ("depth-sr", {"guide_weight": 0}, "guide_weight must be a finite number > 0"),
        ("flash-denoise", {"sigma": -5.0}, "sigma must be a finite number > 0"),
        ("depth-sr", {"sigma": 5.0}, "sigma is for denoising, not for depth-sr"),
        ("depth-sr", {"base": "guided", "smoothing": (3,)}, r"wants smoothing=\(radius, edge\)"),
    ],
)
def test_settings_are_refused_before_a_scene_is_read(name, settings, says):
    def never():
        raise AssertionError("a scene was read")

    with pytest.raises(ValueError, match=says):
        learn_task(get_task(name), [never], TaskSettings(**settings), **SMALL)
    with pytest.raises(ValueError, match=says):
        check_learn_task(get_task(name), TaskSettings(**settings), **SMALL)


def test_a_fusion_of_all_channels_is_for_networks():
    """No fusion takes such a dictionary; a network has the channels that its task says."""
    task = replace(get_task("medical"), all_channels=True)
    with pytest.raises(ValueError, match=r"want TaskSettings\(all_channels=False\), or --single-c"):
        check_learn_task(task, **SMALL)
    check_learn_task(task, TaskSettings(all_channels=False), **SMALL)
    with pytest.raises(TypeError, match="settings must be a TaskSettings, found"):
        check_learn_task(task, {"lam": 0.1}, **SMALL)


def learn_from(second, name="depth-sr", **settings):
    """A scene of one and three channels, and another one that is called "odd"."""
    rng = np.random.default_rng(0)

    def reader(*images):
        return lambda: images

    odd = reader(*second)
    odd.name = "odd"
    first = reader(rng.random((1, 32, 32)), rng.random((3, 32, 32)))
    settings = TaskSettings(flips=False, **settings)
    return learn_task(get_task(name), [first, odd], settings, **SMALL)


def test_scenes_that_do_not_fit_are_called_by_their_names():
    rng = np.random.default_rng(1)
    x, y = rng.random((1, 32, 32)), rng.random((3, 32, 32))
    grey = y[:1]
    with pytest.raises(ValueError, match="odd has images of 1 and 1 channels, scene 0 of 1 and 3"):
        learn_from((x, grey), colour_guide=True)
    with pytest.raises(ValueError, match="odd has images of 3 and 3 channels, scene 0 of 1 and 3"):
        learn_from((y, y), all_channels=True)
    assert learn_from((y, grey)).completed
    with pytest.raises(ValueError, match="filters are larger than odd: filters 5x5, image 4x32"):
        learn_from((x[:, :4], y[:, :4]))
    x[0, 3, 4] = np.inf
    with pytest.raises(ValueError, match="odd holds Inf; unknown pixels are NaN"):
        learn_from((x, y))


def test_what_is_unknown_weighs_nothing():
    scene = pair("depth-sr", 3)
    holed = scene.target.copy()
    holed[:, 20:30, 24:40] = np.nan
    task = get_task("depth-sr")
    settings = TaskSettings(flips=False).complete(task)
    made = TaskScenes(task, [lambda: (holed, scene.y)], settings).scene(0)
    assert made.masks is not None
    weights = made.masks[0][0, 0]
    assert not weights[20:28, 24:40].any()
    assert weights[:16].all()
    assert made.masks[1] is None
    assert all(np.isfinite(s).all() for s in made.signals)
    assert np.isfinite(made.target).all()
    assert not made.signals[0][0, 0][weights == 0].any()
    whole = TaskScenes(task, [lambda: (scene.target, scene.y)], settings).scene(0)
    assert whole.masks is None
    far = (..., slice(None, 8), slice(None, 8))
    np.testing.assert_allclose(made.signals[0][far], whole.signals[0][far], atol=1e-3)
    assert learn_from((holed.astype(float), scene.y.astype(float))).completed


def test_metadata_say_how_the_dictionary_is_used(depth):
    found = depth.dictionary
    assert found.metadata["task"] == "depth-sr"
    assert found.metadata["base"] == "guided"
    assert tuple(found.metadata["smoothing"]) == get_task("depth-sr").smoothing
    assert found.metadata["lam"] == get_task("depth-sr").lam
    assert found.signal_weights == (1.0, 0.3)
    assert found.target_unique[1] is None
    assert depth.target_fit.mse < depth.target_fit.target_power


def test_scenes_are_prepared_as_the_restoration_prepares_them(depth):
    task = get_task("depth-sr")
    scene = pair("depth-sr")
    settings = TaskSettings().complete(task)
    made = TaskScenes(task, [lambda: (scene.target, scene.y)], settings)
    prepared = prepare_for_dictionary(task.degrade(scene.target), scene.y, depth.dictionary, task)
    for a, b in zip(made[0], prepared.signals, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(made.targets[0][0], scene.target - prepared.base, atol=1e-7)


def test_scenes_of_little_contrast_are_stretched_as_the_restoration_stretches_them():
    task = get_task("multispectral-sr")
    scene = pair("multispectral-sr")
    settings = TaskSettings().complete(task)
    small = task.degrade(scene.target)
    wide = (scene.target - small.min()) / np.ptp(small)
    guide = (scene.y - scene.y.min()) / np.ptp(scene.y)
    bands = np.concatenate([0.03 * wide, wide, 0.4 + 0.1 * wide])
    bands[0, 5, 7] = np.nan
    made, whole = (
        TaskScenes(task, [lambda images=images: images], settings).scene(0)
        for images in ((bands, 0.2 * guide), (np.repeat(wide, 3, 0), guide))
    )
    for n in (1, 2):
        np.testing.assert_allclose(made.signals[0][n], whole.signals[0][n], atol=2e-5)
        np.testing.assert_allclose(made.target[n], whole.target[n], atol=2e-5)
    far = (0, 0, slice(24, None))
    np.testing.assert_allclose(made.target[far], whole.target[far], atol=1e-2)
    np.testing.assert_allclose(made.signals[1], whole.signals[1], atol=2e-5)
    # Errors are that much too large.
    scenes = TaskScenes(task, [lambda: (bands, guide)], settings)
    assert scenes.span((bands, guide), 0) == pytest.approx(0.03, rel=1e-3)
    assert scenes.span((bands[1:2], guide), 0) == 1


def test_parts_of_larger_scenes_are_not_stretched():
    task = get_task("depth-sr")
    scene = pair("depth-sr")

    def part():
        return 0.3 + 0.1 * scene.target, scene.y

    whole = TaskScenes(task, [part], TaskSettings().complete(task)).scene(0)
    part.is_part = True
    made = TaskScenes(task, flipped([part]), TaskSettings().complete(task)).scene(0)
    prepared = prepare_for_dictionary(
        task.degrade(part()[0]), scene.y, shipped_dictionary(task.name), task
    )
    np.testing.assert_allclose(made.signals[0], prepared.signals[0], atol=1e-6)
    assert np.abs(whole.signals[0]).max() > 5 * np.abs(made.signals[0]).max()
    assert all(is_part(reader) for reader in synthetic_scenes(task, 2, (64, 64)))
