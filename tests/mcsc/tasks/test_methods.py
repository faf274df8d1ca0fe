"""Methods by name: what they take, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcsc.errors import Refusal
from mcsc.images import imresize, write_image
from mcsc.quality.full_reference import rmse
from mcsc.tasks import (
    METHODS,
    TASKS,
    MethodResult,
    SparseCoding,
    evaluate,
    find_method,
    find_scenes,
    fuse,
    get_task,
    method_names,
    restore,
    synthetic_scenes,
)
from mcsc.tasks.learning import check_learn_task
from mcsc.tasks.methods import baseline_names, methods_by_name
from tests.helpers import make_dictionary
from tests.mcsc.tasks.pairs import pair


def test_names():
    assert method_names(get_task("depth-sr"))[:4] == [
        "bicubic", "guided-filter", "joint-bilateral", "hyper-sharpening"
    ]  # fmt: skip
    assert baseline_names(get_task("flash-denoise"))[0] == "input"
    assert "exposure-fusion" in method_names(get_task("medical"))
    with pytest.raises(ValueError, match="depth-sr has no method 'mean': want bicubic, guided-fi"):
        find_method("mean", get_task("depth-sr"))
    with pytest.raises(ValueError, match="flash-denoise has no method 'bicubic': want input, guid"):
        find_method("bicubic", get_task("flash-denoise"))


@pytest.mark.parametrize("name", ["guided-filter", "joint-bilateral"])
@pytest.mark.parametrize("kind", ["depth-sr", "multispectral-sr", "flash-denoise"])
def test_guided_baselines_are_settled_for_each_task(kind, name):
    task = get_task(kind)
    for sigma in (25.0, 75.0) if task.sigma else (None,):
        before, after = [], []
        for seed in (60, 61, 62):
            scene = pair(kind, seed, shape=(96, 96))
            x = task.degrade(scene.target, sigma=sigma, seed=seed)
            found = restore(x, scene.y, task, method=name, sigma=sigma)
            before.append(rmse(x, scene.target))
            after.append(rmse(found.image, scene.target))
        assert np.mean(after) < (0.7 if sigma else 1.0) * np.mean(before)


@pytest.mark.parametrize("task", TASKS)
def test_every_baseline_of_every_task_is_a_method_without_numbers(task):
    task = get_task(task)
    scene = task.synthetic_pair(0, (48, 48), 5)
    for name in baseline_names(task):
        if task.kind == "fusion":
            found = fuse([scene.x, scene.y], task, method=name)
        else:
            small = task.factor and imresize(scene.target, (12, 12))
            x = scene.x if small is None else small
            found = restore(x, scene.y, task, method=name)
        assert found.method == name
        assert np.isfinite(found.image).all()
        assert found.image.shape == scene.target.shape
        assert (found.gap, found.nonzero, found.lam) == (None, None, None)
        assert found.converged


def test_what_a_method_does_not_take_is_refused_in_one_line(tmp_path):
    small, guide = np.full((1, 8, 8), 0.5), np.full((3, 32, 32), 0.5)

    def refused(message, **options):
        with pytest.raises(ValueError, match=message) as caught:
            restore(small, guide, "depth-sr", **options)
        assert "\n" not in str(caught.value)

    for option, value in (("lam", 0.1), ("tol", 1e-3), ("tile", 100), ("device", "cuda")):
        refused(
            f"the method bicubic has no option {option}; it has none of its own",
            method="bicubic",
            **{option: value},
        )
    refused("the method bicubic takes no dictionary", method="bicubic", dictionary="d.npz")
    refused("the method bicubic takes no weights", method="bicubic", weights_file="w.safetensors")
    refused("the method mcsc takes no weights", weights_file="w.safetensors")
    method = find_method("bicubic", get_task("depth-sr"))
    refused("the method bicubic takes no dictionary", method=method, dictionary="d.npz")
    with pytest.raises(
        TypeError, match=r"method must be a name or a mcsc\.tasks\.Method, which .* found 3"
    ):
        restore(small, guide, "depth-sr", method=3)
    with pytest.raises(FileNotFoundError, match=r"no\.npz"):
        restore(small, guide, "depth-sr", dictionary=tmp_path / "no.npz")
    with pytest.raises(ValueError, match="the method mean has no option rule; it has none of its"):
        fuse([guide, guide], "medical", method="mean", rule="sum")


def test_the_own_method_wants_a_dictionary_that_fits():
    import mcsc

    with pytest.raises(
        ValueError, match="restoration needs a dictionary of 2 signals, this one ha"
    ):
        SparseCoding(get_task("depth-sr"), mcsc.dct_dictionary((1,), filter_size=4))


def test_an_image_smaller_than_the_filters_is_named():
    depth, photo = np.linspace(0, 1, 63).reshape(7, 9), np.linspace(0, 1, 189).reshape(3, 7, 9)
    message = r"^filters are larger than photo\.png: filters 12x12, image 7x9$"
    with pytest.raises(ValueError, match=message):
        restore(depth, photo, "depth-sr", names=("depth.png", "photo.png"))
    message = r"^filters are larger than with\.png: filters 8x8, image 7x9$"
    with pytest.warns(UserWarning, match="takes no mask"), pytest.raises(ValueError, match=message):
        restore(
            photo, photo, "flash-denoise", method="input", mask=photo > 0.1,
            names=("without.png", "with.png"),
        )  # fmt: skip
    message = r"^filters are larger than near\.png: filters 8x8, image 7x9$"
    with pytest.raises(ValueError, match=message):
        fuse((photo, photo[::-1]), "multi-focus", names=("near.png", "far.png"))
    message = r"^filters are larger than sources\[0\]: filters 9x9, image 7x9$"

    def wide(sources):
        raise AssertionError("called")

    wide.options, wide.filter_size = frozenset(), 9
    with pytest.raises(ValueError, match=message):
        fuse((photo, photo[::-1]), "multi-focus", method=wide)
    wide.filter_size = 7
    with pytest.raises(AssertionError, match="called"):
        fuse((photo, photo[::-1]), "multi-focus", method=wide)


def test_several_methods_and_their_files(depth, tmp_path):
    task = get_task("depth-sr")
    assert list(methods_by_name(None, task)) == [*baseline_names(task), "mcsc"]
    depth.dictionary.save(tmp_path / "d.npz")
    found = methods_by_name(["bicubic", "mcsc"], task, dictionary=tmp_path / "d.npz")
    assert found["mcsc"].dictionary.n_common == depth.dictionary.n_common
    with pytest.raises(ValueError, match="a dictionary is for the method mcsc, which is not asked"):
        methods_by_name(["bicubic"], task, dictionary=tmp_path / "d.npz")
    with pytest.raises(ValueError, match="weights are for methods of other packages; none is aske"):
        methods_by_name(["bicubic", "mcsc"], task, weights_file=tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("channels", "fits"), [((1, 1), (1, 2, 3)), ((3, 1), (1, 2)), ((1, 3), ()), ((3, 3), ())]
)
def test_a_base_of_bands_one_by_one_is_refused_before_any_work(channels, fits, monkeypatch):
    def coded(*given, **options):
        raise AssertionError("coded")

    task = get_task("multispectral-sr")
    method = SparseCoding(task, make_dictionary(channels=channels, target=channels[0]))
    assert method.base == "injected"
    monkeypatch.setattr("mcsc.tasks.sparse_coding.code", coded)
    rng = np.random.default_rng(0)
    for bands in (1, 2, 3):
        scene = rng.random((bands, 32, 32)), rng.random((3, 32, 32))
        run = []
        if bands in fits:
            with pytest.raises(AssertionError, match="coded"):
                restore(scene[0][:, ::4, ::4], scene[1], task, method=method)
            continue
        message = f"mcsc adds to the base 'injected', which .* the first image of s has {bands}"
        with pytest.raises(ValueError, match=message.replace("the first image of s", "x")):
            restore(*scene, task, method=method)
        methods = {"bicubic": find_method("bicubic", task), "mcsc": method}

        def s(given=scene):
            return given

        s.name = "s"
        with pytest.raises(ValueError, match=message):
            evaluate([s], task, methods, each=lambda *given, run=run: run.append(given))
        assert not run


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("filter_size", "8", "filter_size of the method own must be a whole number >= 1"),
        ("filter_size", "3", "filter_size of the method own must be a whole number >= 1"),
        ("only_factor", "4", "only_factor of the method own must be a finite number > 0"),
        ("channels", 3, "channels of the method own must be two whole numbers >= 1, of x and of"),
        ("channels", (1, "3"), "channels of the method own must be two whole numbers"),
        ("check_device", True, "check_device of the method own must be callable; found True"),
        ("check_count", 2, "check_count of the method own must be callable"),
        ("chooses", False, "chooses of the method own must be callable"),
        ("options", {"sigma": 3, 4: 5}, "has the attribute options, names of those that it takes"),
    ],
)
def test_attributes_of_a_method_that_are_no_such_thing(name, value, says):
    def own(x, y):
        return x

    own.options = frozenset()
    setattr(own, name, value)
    scene = pair("flash-denoise")
    with pytest.raises((TypeError, ValueError), match=says):
        restore(scene.x, scene.y, "flash-denoise", method=own)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("strength", "a", "strength in its metadata must be a finite number > 0, found 'a'"),
        ("sigma", "a", "sigma in its metadata must be a finite number > 0"),
        ("base", "mean", "base in its metadata must be 'none', 'input', 'low'"),
        ("smoothing", 3, r"smoothing in its metadata must be two numbers, found 3"),
        ("smoothing", (3, 0), r"smoothing in its metadata must be a finite number > 0"),
    ],
)
def test_metadata_that_say_how_a_dictionary_is_used_are_looked_at(name, value, says):
    dictionary = replace(make_dictionary(channels=(1, 1)), metadata={name: value})
    with pytest.raises((TypeError, ValueError), match=says):
        restore(np.zeros((8, 8)), np.zeros((32, 32)), "depth-sr", dictionary=dictionary)
    assert SparseCoding("depth-sr", replace(dictionary, metadata={"sigma": None}))


def test_what_takes_a_task_takes_its_name(tmp_path):
    dictionary = make_dictionary(channels=(1, 1))
    write_image(tmp_path / "s_near.png", np.zeros((1, 8, 8)))
    write_image(tmp_path / "s_far.png", np.zeros((1, 8, 8)))
    for use in (
        method_names,
        lambda task: find_method("mcsc", task),
        lambda task: SparseCoding(task, dictionary),
        lambda task: synthetic_scenes(task, 1, (32, 32))[0](),
        lambda task: find_scenes(tmp_path, task)[0](),
        lambda task: check_learn_task(task),
    ):
        use("multi-focus")
        use(TASKS["multi-focus"])
        with pytest.raises(ValueError, match="task must be one of depth-sr, multispectral-sr"):
            use("focus")
        with pytest.raises(TypeError, match="task must be a name or a Task, found int"):
            use(3)


def test_unknown_options_of_a_method_are_found_out():
    method = lambda x, y: x  # noqa: E731
    method.options = frozenset({"sigma", "speed"})
    scene = pair("flash-denoise")
    with pytest.raises(ValueError, match="claims options speed; there are mask, guide_mask, known"):
        restore(scene.x, scene.y, "flash-denoise", method=method)


def test_a_function_with_options_is_a_method():
    def halved(x, y, *, sigma):
        return MethodResult(x / 2, common=x, gap=0.5)

    halved.options = frozenset({"sigma"})
    scene = pair("flash-denoise")
    found = restore(
        scene.x,
        scene.y,
        "flash-denoise",
        method=halved,
        sigma=25,
        value_range=(-1, 2),
        ghosts=False,
    )
    np.testing.assert_allclose(found.image, (scene.x + 1) / 2 - 1, atol=1e-6)
    np.testing.assert_allclose(found.common, scene.x + 1, atol=1e-6)
    assert (found.gap, found.unique, found.method) == (0.5, None, "halved")


IMAGE = r"must return the image as a NumPy array of floats of shape \(3, 64, 64\); found "


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda x: None, IMAGE + "None"),
        (lambda x: 3.0, IMAGE + "3.0"),
        (lambda x: x.tolist(), IMAGE + "an object of type list"),
        (lambda x: (x, x), IMAGE + "an object of type tuple"),
        (lambda x: (255 * x).astype(np.uint8), IMAGE + "an array of .* uint8"),
        (lambda x: x * 1j, IMAGE + "an array of .* complex64"),
        (lambda x: np.ma.masked_less(x, 0.5), IMAGE + "a masked array"),
        (lambda x: MethodResult(None), IMAGE + "None"),
        (lambda x: x[0], r"returned the image of shape \(64, 64\); want \(3, 64, 64\)"),
        (lambda x: x[:2], r"returned the image of shape \(2, 64, 64\); want \(3, 64, 64\)"),
        (lambda x: x[:, :32], r"returned the image of shape \(3, 32, 64\); want \(3, 64, 64\)"),
        (lambda x: x * np.nan, r"returned the image with NaN or Inf \(12288 values\)"),
        (lambda x: MethodResult(x, base=x[:, :32]), r"returned base of shape .*; want \(C, 64, 64"),
        (lambda x: MethodResult(x, base=x[:2]), "returned base of 2 channels; want 1 or 3"),
        (lambda x: MethodResult(x, common=3), "must return common as a NumPy array of floats .* 3"),
        (lambda x: MethodResult(x, unique=x), "must return unique as a tuple of images; found an"),
        (lambda x: MethodResult(x, unique=(x, x)), "returned 2 unique parts; want 1, of x alone"),
        (lambda x: MethodResult(x, unique=(x / 0,)), r"returned unique\[0\] with NaN or Inf"),
        (lambda x: MethodResult(x, gap="small"), "must return gap as a number or None; found 'sma"),
    ],
)
def test_what_a_method_makes_is_looked_at(made, message):
    scene = pair("flash-denoise")

    def own(x, y):
        with np.errstate(all="ignore"):
            return made(x)

    own.options = frozenset()
    with pytest.raises((TypeError, ValueError), match=f"^the method own {message}") as caught:
        restore(scene.x, scene.y, "flash-denoise", method=own)
    assert isinstance(caught.value, Refusal)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda first: first[:1], r"returned the image of shape \(1, 64, 64\); want \(3, 64, 64"),
        (
            lambda first: MethodResult(first, weights=first),
            r"returned the weights of sh.* 64, 64\); want \(2, 64, 64",
        ),
        (
            lambda first: MethodResult(first, index=first[0]),
            "must return the index as a NumPy array of integers; found an array of .* float32",
        ),
        (
            lambda first: MethodResult(first, index=np.zeros((3, 3), int)),
            r"returned an index of shape \(3, 3\); want \(64, 64\)",
        ),
        (
            lambda first: MethodResult(first, index=np.full((64, 64), 2)),
            "returned an index from 2 to 2; there are 2 sources, counted from 0",
        ),
        (
            lambda first: MethodResult(first, unique=(first,)),
            "returned 1 unique parts; want 2, of each source, or none",
        ),
    ],
)
def test_what_a_method_fuses_is_looked_at(made, message):
    scene = pair("multi-focus")

    def own(sources):
        return made(sources[0])

    own.options = frozenset()
    with pytest.raises((TypeError, ValueError), match=f"^the method own {message}"):
        fuse((scene.x, scene.y), "multi-focus", method=own)


def test_a_method_must_take_what_it_is_called_with():
    scene = pair("flash-denoise")

    def alone(x):
        return x

    def silent(x, y):
        return x

    class Made:
        options = frozenset()

        def __call__(self, x, y):
            return x

    alone.options, silent.options = frozenset(), ["sigma"]
    for method, message in (
        (alone, r"the method alone must be a function of x, y; .* the arguments \(x\): too many"),
        (silent, "the method silent must be a function of x, y, sigma=; .*argument 'sigma'"),
        (Made, "must be a name or a mcsc.tasks.Method, .* found the class Made"),
    ):
        with pytest.raises(TypeError, match=message):
            restore(scene.x, scene.y, "flash-denoise", method=method)
        with pytest.raises(TypeError, match=message.replace("must be a name or", "must be")):
            evaluate([lambda: (scene.x, scene.y)], "flash-denoise", {"m": method})
    METHODS.add("none", lambda task, weights: None)
    try:
        with pytest.raises(TypeError, match="what makes the method none must return a"):
            restore(scene.x, scene.y, "flash-denoise", method="none")
    finally:
        METHODS.remove("none")
    assert restore(scene.x, scene.y, "flash-denoise", method=Made()).method == "Made"
