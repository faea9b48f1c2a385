"""Every argument of ``explain`` that is not what it has to be is refused in one sentence that names it."""

import inspect
import re

import numpy as np
import pytest
import torch
from torch import nn

from cam import METHODS, Difference, Memory, Positive, Region, Similarity, Target, TokenGrid, Value, explain
from cam.inputs.arguments import checked_input
from tests.cam.networks import Small, images, small

X = images(2, batch=2)
NAMES = ["none", "tumour", "cyst"]


FEW = {
    "rise": {"count": 4},
    "lime": {"samples": 8, "segments": 4},
    "kernel_shap": {"samples": 24, "segments": 4},
    "smoothgrad": {"samples": 2},
    "gradient_shap": {"samples": 2},
    "integrated_gradients": {"steps": 2},
    "sscam": {"samples": 2},
}


def holed(value):
    x = X.clone()
    x[1, 0, 2, 3] = value
    return x


class Category:
    """As other packages write a target: a function of one sample's outputs."""

    category = 2

    def __call__(self, outputs):
        return outputs[self.category]


class TwoInputs(nn.Module):
    def forward(self, x, mask):
        return x * mask


WRONG = [
    ("model a function", {"model": torch.relu}, "model must be a torch.nn.Module, not builtin_function_or_method"),
    ("model a class", {"model": Small}, "model must be a torch.nn.Module, not type"),
    (
        "model in training",
        {"model": small(2, rectified=True, affine=True).train()},
        "the model must be in evaluation mode",
    ),
    (
        "model without weights",
        {"model": small(2, rectified=True, affine=True).to("meta")},
        "the model lies on the device 'meta'",
    ),
    (
        "model of two inputs",
        {"model": TwoInputs().eval()},
        r"the model fails on x of shape \(2, 1, 6, 6\): TypeError: .*'mask'",
    ),
    (
        "x an array",
        {"x": X.numpy()},
        r"x must be a tensor \(batch, channels, ...\), not ndarray: torch.from_numpy\(x\)",
    ),
    ("x a path", {"x": "image.png"}, "x must be a tensor .*, not str$"),
    ("x nothing", {"x": None}, "x must be a tensor .*, not NoneType"),
    (
        "x whole numbers",
        {"x": torch.ones(2, 1, 6, 6, dtype=torch.uint8)},
        r"x must be floating point, .*not torch.uint8: x.float\(\)",
    ),
    ("x complex", {"x": X.cfloat()}, "x must be floating point"),
    ("x empty", {"x": X[:0]}, r"x must have shape .* none of them 0, not \(0, 1, 6, 6\)"),
    ("x without voxels", {"x": X[..., :0]}, r"x must have shape .* not \(2, 1, 6, 0\)"),
    ("x without axes", {"x": X[:, :, 0, 0]}, r"x must have shape .* not \(2, 1\)"),
    ("x with NaN", {"x": holed(torch.nan)}, r"x holds NaN or infinity in the sample\(s\) \[1\]"),
    ("x with infinity", {"x": holed(torch.inf)}, r"x holds NaN or infinity in the sample\(s\) \[1\]"),
    ("x elsewhere", {"x": X.to("meta")}, "x lies on the device 'meta'"),
    (
        "x of another precision",
        {"x": X.float()},
        r"x is torch.float32 and the model's weights are torch.float64: .*x.to\(torch.float64\)",
    ),
    (
        "x of other channels",
        {"x": torch.cat([X, X], 1)},
        r"the model fails on x of shape \(2, 2, 6, 6\): RuntimeError: .*channels",
    ),
    ("x of other axes", {"x": images(3)}, "the model fails on x of shape|layer 'layer'"),
    ("both targets", {"targets": [1], "target": 1}, "target= is one target and targets= several"),
    (
        "target a list",
        {"target": [2, 0]},
        r"target=\[2, 0\] may mean .*target=PerSample\(\[2, 0\]\), or .*targets=\[2, 0\]: say which",
    ),
    ("target a number", {"target": 1.0}, "a target must be an index, a label's name, or a Target.*, not 1.0"),
    ("target a truth", {"target": True}, "a target must be an index.*, not True"),
    ("target out of range", {"target": 3}, "target.label must lie in 0..2"),
    ("target below 0", {"target": -1}, "target.label must lie in 0..2"),
    (
        "target a name",
        {"target": "tumour"},
        r"target 'tumour' is a name: tell the names of the model's outputs, labels=\[...\]",
    ),
    (
        "target a misspelt name",
        {"target": "tumor", "labels": NAMES},
        "target 'tumor' is not among labels .*; did you mean 'tumour'",
    ),
    ("target of another package", {"targets": [Category()]}, "a target must be .*, not Category: write target=2"),
    ("target a function", {"target": torch.argmax}, "a target must be an index"),
    ("target a class", {"target": Target}, "a target must be an index"),
    ("target a set", {"targets": {1, 2}}, "a target must be an index"),
    ("targets nested", {"targets": [[1, 2]]}, r"a target must be an index.*, not \[1, 2\]"),
    ("targets nothing", {"targets": [None]}, "a target must be an index.*, not None"),
    ("a label of no kind", {"target": Target(None)}, "target.label must be an index or indices, not None"),
    ("labels of no kind", {"target": Target([1, None])}, "target.label must be an index or indices"),
    ("labels ragged", {"target": Target([[1], [1, 2]])}, "target.label must be an index or indices"),
    ("labels of another batch", {"target": np.array([1, 2, 0])}, "PerSample needs one index for each of 2 samples"),
    ("a value out of range", {"target": Value(3)}, "target.label must lie in 0..2"),
    ("a difference out of range", {"target": Difference(0, 7)}, "target.label must lie in 0..2"),
    (
        "a region of a classifier",
        {"target": Region(1, torch.ones(2, 6, 6))},
        "region.mask must have the output's shape",
    ),
    (
        "features of another size",
        {"target": Similarity(torch.rand(5))},
        "similarity.text_features of shape .5,. do not fit",
    ),
    ("labels a name", {"target": 1, "labels": "tumour"}, "labels must be the names of the model's outputs, each once"),
    (
        "labels too few",
        {"target": 1, "labels": NAMES[:2]},
        r"labels must be 3 names for a model of 3 output\(s\), not 2",
    ),
    (
        "labels twice",
        {"target": 1, "labels": ["a", "a", "b"]},
        "labels must be the names of the model's outputs, each once",
    ),
    ("labels numbers", {"target": 1, "labels": [0, 1, 2]}, "labels must be the names"),
    ("method misspelt", {"methods": "gradcamm"}, "method 'gradcamm' is not known; did you mean 'gradcam'?"),
    ("method a class", {"methods": [Small]}, "methods must be names, not type"),
    ("methods a number", {"methods": 3}, "methods must be names, not int"),
    ("layer misspelt", {"layers": "layr"}, "layer 'layr' does not exist in Small.*layers that would do: .*layer"),
    ("layer a number", {"layers": 4}, "layers must be names or modules of the model, not 4"),
    ("layer no name", {"layers": ""}, "layers must be names or modules of the model, not ''"),
    ("layer nothing", {"layers": []}, "layers must name at least one layer"),
    ("layer of another model", {"layers": nn.ReLU()}, "layers: the ReLU given is no part of Small"),
    ("layer a class", {"layers": [nn.ReLU]}, "layers must be names or modules of the model"),
    ("options a list", {"options": ["gradcam"]}, r"options must be \{method: \{option: value\}\}"),
    ("options of no method", {"options": {"gradcan": {}}}, "method 'gradcan' is not known; did you mean 'gradcam'"),
    ("options a value", {"options": {"rise": 3}}, r"options of 'rise' must be \{option: value\}, not 3"),
    (
        "option misspelt",
        {"options": {"rise": {"cell": 3}}},
        "options of 'rise' must be among .*, not 'cell'; did you mean 'cells'",
    ),
    ("option a number", {"options": {"rise": {3: 3}}}, "options of 'rise' must be among .*, not 3"),
    ("rows 0", {"rows": 0}, "rows must be a whole number of at least 1, or None, not 0"),
    ("rows a share", {"rows": 0.5}, "rows must be a whole number"),
    ("rows a truth", {"rows": True}, "rows must be a whole number"),
    ("rectify a word", {"rectify": "no"}, "rectify must be True or False, not 'no'"),
    ("grids a shape", {"grids": {"layer": (2, 2)}}, r"grids must be \{layer: TokenGrid\(...\)\}"),
    ("grids a grid", {"grids": TokenGrid((2, 2))}, r"grids must be \{layer"),
    ("grids of no layer", {"grids": {"layr": TokenGrid((2, 2))}}, "layr"),
    ("on_maps a number", {"on_maps": 3}, "on_maps must take a number of maps, not be 3"),
    ("memory a dict", {"memory": {}}, r"memory must be a Memory, not \{\}"),
    (
        "output a list",
        {"output": ["logits"]},
        r"output must be one of logits, probability, regression, or a key or position",
    ),
    ("output a truth", {"output": True}, "output must be one of logits"),
    ("output misspelt", {"output": "probabilities"}, "names a part, and the model returns one tensor"),
    (
        "output_kind misspelt",
        {"output_kind": "probabilty"},
        "output_kind must be one of .*; did you mean 'probability'",
    ),
    ("output_kind a number", {"output_kind": 3}, "output_kind must be one of"),
]  # fmt: skip


def refused(arguments):
    given = {"model": small(2, rectified=True, affine=True), "x": X, "layers": "layer", **arguments}
    if "targets" not in given and "target" not in given:
        given["target"] = 1
    with pytest.raises(ValueError, match=r".") as caught:
        explain(given.pop("model"), given.pop("x"), **given)
    return str(caught.value)


@pytest.mark.parametrize(("arguments", "message"), [pytest.param(*row[1:], id=row[0]) for row in WRONG])
def test_a_wrong_argument_is_refused_in_one_sentence(arguments, message):
    sentence = refused(arguments)
    assert re.search(message, sentence), sentence
    assert "\n" not in sentence


OPTIONS = [(name, option) for name, method in METHODS.items() for option in method.options]
NO_VALUES = (
    "many",
    True,
    [],
    {},
    object(),
    float("nan"),
    float("inf"),
    1j,
    torch.ones(0),
    torch.full((1, 1), torch.nan),
)
KINDS_OF_NOTHING = [(name, option, value) for name, option in OPTIONS for value in NO_VALUES]


@pytest.mark.parametrize(
    ("name", "option", "value"),
    KINDS_OF_NOTHING,
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_option_of_the_wrong_kind_is_refused_in_one_sentence(name, option, value):
    sentence = refused({"methods": name, "options": {name: {option: value}}})
    assert sentence.startswith(f"{name}.{option} must "), sentence
    assert "\n" not in sentence


OUT_OF_RANGE = [
    (name, option, value)
    for name, option in OPTIONS
    for value in (-1, 0, -0.5, (0, 1), (2, 2, 2), 2**70, 1e300)
    if not (option == "baseline" and not isinstance(value, tuple)) and (name, option) != ("finercam", "gamma")
]
LARGE = 2**40


@pytest.mark.parametrize(
    ("name", "option", "value"),
    OUT_OF_RANGE,
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_option_out_of_range_is_refused_or_taken_and_never_a_raw_error(name, option, value):
    if isinstance(value, int) and value > LARGE and option != "seed":
        pytest.skip("as many as that is what was asked for")
    model, settings = small(2, rectified=True, affine=False), {**FEW.get(name, {}), option: value}
    layers = ["trunk", "layer"] if METHODS[name].at == "layers" else "layer"
    said = ""
    try:
        explain(model, X, target=1, methods=name, layers=layers, options={name: settings})
    except ValueError as error:
        said = str(error)
    assert not said or option in said
    assert "\n" not in said


@pytest.mark.parametrize("value", [np.int64(3), np.array(3), torch.tensor(3)])
def test_whole_numbers_of_every_kind_are_options(value):
    model = small(2, rectified=True, affine=False)
    expected = explain(model, X, target=1, methods="rise", options={"rise": {"count": 3}})
    found = explain(model, X, target=1, methods="rise", options={"RISE": {"count": value}}, rows=np.int64(1))
    torch.testing.assert_close(found.maps, expected.maps)


def test_finite_numbers_whose_sum_is_infinite_are_an_input():
    x = torch.full((1, 1, 6, 6), torch.finfo(torch.float32).max)
    assert not torch.isfinite(x.sum())
    assert checked_input(nn.Identity(), x).shape == x.shape
    x[0, 0, 0, 0] = -torch.inf
    with pytest.raises(ValueError, match="NaN or infinity"):
        checked_input(nn.Identity(), x)


def test_an_error_of_the_models_own_is_left_as_it_is():
    class Broken(nn.Module):
        def forward(self, x):
            raise self.error(f"no licence for {len(x)} images")

    for error in (RuntimeError, KeyError, TypeError, AttributeError):
        model = Broken().eval()
        model.error = error
        with pytest.raises(error, match="no licence"):
            explain(model, X, target=0, methods="saliency")


def test_threads_that_share_a_memory_wait_for_each_other():
    import threading

    model, memory, order = small(2, rectified=True, affine=True), Memory(), []

    def work():
        with memory.alone_with(model):
            order.append("second")

    thread = threading.Thread(target=work)
    with memory.alone_with(model), memory.alone_with(model):
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize("threshold", ["high", True, None, float("nan"), float("inf")])
def test_a_threshold_that_is_no_number_is_refused(threshold):
    with pytest.raises(ValueError, match=r"positive.threshold must be a finite number"):
        Positive(threshold)


def test_methods_layers_and_names_come_in_any_container():
    model = small(2, rectified=True, affine=True)
    for kind in (list, tuple, iter, np.array):
        found = explain(model, X, target="cyst", methods=kind(["gradcam", "HiResCAM"]), layers="layer", labels=NAMES)
        assert [key[0] for key in found.maps] == ["gradcam", "hirescam"]
    assert len(explain(model, X, target="cyst", layers=iter(["trunk", "layer"]), labels=np.array(NAMES)).maps) == 2


def test_weights_of_inference_mode_are_named():
    with torch.inference_mode():
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2)).double().eval()
    for around in (torch.inference_mode, torch.no_grad):
        with around(), pytest.raises(ValueError, match=r"weights were made in torch.inference_mode\(\)"):
            explain(model, X, target=1)


FOREIGN = [
    ({"target_layers": ["layer"]}, "explain has no argument 'target_layers'; here it is layers="),
    ({"target_layer": "layer"}, "explain has no argument 'target_layer'; here it is layers="),
    ({"layer": "layer"}, "explain has no argument 'layer'; here it is layers="),
    ({"class_idx": 1}, "explain has no argument 'class_idx'; here it is target="),
    ({"target_class": 1}, "explain has no argument 'target_class'; here it is target="),
    ({"target_category": 1}, "explain has no argument 'target_category'; here it is target="),
    ({"method": "gradcam"}, "explain has no argument 'method'; here it is methods="),
    ({"reshape_transform": None}, "explain has no argument 'reshape_transform'; here it is grids="),
    ({"batch_size": 4}, "explain has no argument 'batch_size'; here it is rows="),
    ({"use_cuda": 4}, "explain has no argument 'use_cuda'; its arguments are model, x, targets, "),
    ({"lables": ["a"]}, "explain has no argument 'lables'; did you mean labels="),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), FOREIGN, ids=[next(iter(given)) for given, _ in FOREIGN])
def test_a_keyword_of_another_package_is_refused_with_ours(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        explain(small(2, rectified=True, affine=True), images(2), **given)


def test_an_image_under_another_name_is_refused_with_ours():
    model = small(2, rectified=True, affine=True)
    for name in ("input_tensor", "inputs", "input"):
        with pytest.raises(ValueError, match=f"explain has no argument '{name}'; here it is x="):
            explain(model, **{name: images(2)})
    with pytest.raises(ValueError, match="explain: missing a required argument: 'x'"):
        explain(model)
    with pytest.raises(ValueError, match="explain: too many positional arguments"):
        explain(model, images(2), [1], "gradcam")


def test_the_signature_is_that_of_the_function():
    assert list(inspect.signature(explain).parameters)[:4] == ["model", "x", "targets", "target"]
    assert explain.__doc__.startswith("Explain ``model``")
