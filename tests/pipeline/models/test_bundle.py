"""Bundles in the styles of MONAI's published ones: built without their code, without the internet, or refused."""

import json

import pytest
import torch
import yaml
from torch import nn

from pipeline.config import ModelConfig
from pipeline.errors import ModelError
from pipeline.models.bundle import network_of_bundle
from pipeline.models.bundle_code import code_in, network_parts, without_downloads
from pipeline.models.load import load_model

COMMON = {
    "imports": ["$import glob", "$import os"],
    "bundle_root": ".",
    "output_dir": "$@bundle_root + '/eval'",
    "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
    "dataset_dir": "/workspace/data",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "network": "$@network_def.to(@device)",
    "inferer": {"_target_": "scripts.inferer.Inferer"},
    "handlers": [{"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/model.pt'"}],
    "initialize": ["$setattr(torch.backends.cudnn, 'benchmark', True)"],
}
UNET = {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8, 8],
        "strides": [2, 2], "num_res_units": 1, "norm": "batch"}  # fmt: skip
SEG_RES_NET = {"_target_": "SegResNet", "blocks_down": [1, 2], "blocks_up": [1], "init_filters": 8, "in_channels": 4,
               "out_channels": 3, "dropout_prob": 0.2}  # fmt: skip
WHOLE_BODY = {
    "displayable_configs": {"highres": True},
    "modelname": "$'model.pt' if @displayable_configs#highres else 'model_lowres.pt'",
    "outputs": 5,
    "network_def": {**SEG_RES_NET, "spatial_dims": 3, "in_channels": 1, "out_channels": "$@outputs * 2 - 1"},
}
DETECTION = {
    "backbone": "$monai.networks.nets.resnet.resnet10(spatial_dims=3,n_input_channels=1,conv1_t_size=[7,7,7])",
    "network_def": {"_target_": "torch.nn.Sequential", "_desc_": "heads", "a": "@backbone"},
}
EFFICIENT = {"_target_": "EfficientNetBN", "model_name": "efficientnet-b0", "in_channels": 3, "num_classes": 2}


def bundle(folder, content, name="inference.json", state=None):
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    (folder / "models").mkdir(exist_ok=True)
    text = json.dumps(content) if name.endswith(".json") else yaml.safe_dump(content)
    (folder / "configs" / name).write_text(text)
    torch.save({} if state is None else state, folder / "models/model.pt")
    return folder


def loaded(folder, **keys):
    config = ModelConfig.model_validate({"name": "m", "labels": ["a", "b"], "bundle": folder, **keys})
    return load_model(config, folder, torch.device("cpu"))


@pytest.mark.parametrize("name", ["inference.json", "inference.yaml", "train.json"])
@pytest.mark.parametrize(
    ("content", "kind"),
    [({"network_def": UNET}, "UNet"), ({"network_def": SEG_RES_NET}, "SegResNet"), (WHOLE_BODY, "SegResNet")],
)
def test_a_published_style_is_built_and_its_weights_loaded(tmp_path, name, content, kind):
    bundle(tmp_path, {**COMMON, **content}, name)
    network = network_of_bundle(tmp_path).network
    state = {key: value + 1 for key, value in network.state_dict().items()}
    bundle(tmp_path, {**COMMON, **content}, name, {"model": state, "epoch": 2})
    made = loaded(tmp_path)
    assert made.architecture == kind
    assert all(torch.equal(value, state[key]) for key, value in made.network.state_dict().items())
    assert "the weights are the part model of the checkpoint" in made.notes


def test_an_inference_without_the_network_leaves_it_to_the_training(tmp_path):
    bundle(tmp_path, {**COMMON, "network_def": UNET}, "train.json")
    del (other := {**COMMON})["network"]
    bundle(tmp_path, other, "inference.json")
    assert network_of_bundle(tmp_path).files.keys() == {"configs/train.json"}


def test_only_network_is_there(tmp_path):
    content = {**COMMON, "net_args": UNET, "network": "$@net_args.to(@device)"}
    assert type(network_of_bundle(bundle(tmp_path, content)).network).__name__ == "UNet"


def test_a_backbone_is_an_expression_that_builds_a_network(tmp_path):
    parts = network_parts({**COMMON, **DETECTION}, "network_def")
    assert parts.keys() == {"network_def", "backbone"}
    assert code_in(parts) is None
    content = {**COMMON, "network_def": DETECTION["backbone"]}
    assert type(network_of_bundle(bundle(tmp_path, content)).network).__name__ == "ResNet"


def test_a_network_that_needs_a_package_names_it(tmp_path, monkeypatch):
    from monai.networks.nets import torchvision_fc
    from monai.utils import optional_import

    missing, _ = optional_import("no_such_torchvision.models")
    monkeypatch.setattr(torchvision_fc, "models", missing)
    content = {"network_def": {"_target_": "TorchVisionFCModel", "model_name": "resnet18", "pretrained": True}}
    with pytest.raises(ModelError, match="network_def cannot be built: it needs no_such_torchvision: install that"):
        network_of_bundle(bundle(tmp_path, content))


class OpenedError(Exception):
    pass


@pytest.mark.parametrize("given", [{}, {"pretrained": True}])
def test_pretrained_never_opens_the_internet(tmp_path, monkeypatch, given):
    def refuse(*_, **__):
        raise OpenedError

    monkeypatch.setattr("torch.utils.model_zoo.load_url", refuse)
    from monai.networks.nets import EfficientNetBN

    with pytest.raises(OpenedError):  # what MONAI itself does
        EfficientNetBN("efficientnet-b0", in_channels=3, num_classes=2)
    made = network_of_bundle(bundle(tmp_path, {"network_def": {**EFFICIENT, **given}}))
    assert type(made.network).__name__ == "EfficientNetBN"
    assert made.notes == ("pretrained weights that the definition asks for not fetched: the bundle brings its own",)


FC = {"_target_": "TorchVisionFCModel", "num_classes": 4}


@pytest.mark.parametrize(
    ("given", "offline"),
    [
        ({"model_name": "resnet18", "pretrained": True}, {"model_name": "resnet18", "pretrained": False}),
        ({"model_name": "resnet18", "pretrained": False}, {"model_name": "resnet18", "pretrained": False}),
        (
            {"model_name": "inception_v3", "aux_logits": False, "pool": ""},
            {"model_name": "inception_v3", "aux_logits": False, "pool": ""},
        ),
        (
            {"model_name": "inception_v3", "pretrained": True},
            {"model_name": "inception_v3", "pretrained": False, "transform_input": True, "aux_logits": False},
        ),
        (
            {"model_name": "resnet18", "weights": "DEFAULT"},
            {"model_name": "resnet18", "weights": None, "pretrained": False},
        ),
    ],
)
def test_the_same_network_is_built_without_its_downloads(given, offline):
    changed, would_download = without_downloads({"network_def": {**FC, **given}})
    assert changed == {"network_def": {**FC, **offline}}
    assert would_download is (given != offline)


CODE = [
    {"n": "$__import__('os').system('touch ran')", "network_def": {**UNET, "spatial_dims": "@n"}},
    {"network_def": {**UNET, "spatial_dims": "$open('ran', 'w').write('x')"}},
    {"imports": ["$import os"], "network_def": {"_target_": "os.system", "command": "touch ran"}},
    {"network_def": {"_target_": "subprocess.run", "args": ["touch", "ran"]}},
    {"network_def": {"_target_": "monai.networks.nets.hovernet.os.system", "command": "touch ran"}},
    {"network_def": {"_target_": "$@x", "x": 3}},
    {"network_def": {**UNET, "_mode_": "debug"}},
    {"network_def": {**UNET, "_requires_": '$exec(\'open("ran", "w")\')'}},
    {"network_def": {**UNET, "_disabled_": "$print('ran')"}},
    {"network_def": "$import antigravity"},
    {"network_def": "%other.json::network_def"},
    {"network_def": "$[c for c in ().__class__.__base__.__subclasses__()]"},
    {"network_def": "$(lambda: 3)()"},
    {"network_def": "$torch.load('models/model.pt', weights_only=False)"},
    {"network_def": "$torch.hub.load('a/b', 'c')"},
    {"network_def": "$monai.networks.nets.resnet.torch.hub.load('a', 'b')"},
    {"network_def": "$monai.networks.nets.resnet.resnet18(pretrained=True, spatial_dims=3)"},
    {"network_def": "$monai.networks.nets.EfficientNetBN('efficientnet-b0', in_channels=3)"},
    {"net_args": UNET, "network_def": "$@net_args.load_state_dict(@net_args.forward.__globals__)"},
    {"network_def": "$f'{print(3)}'"},
    {"network_def": "$__builtins__"},
    {"net_args": UNET, "network_def": {**UNET, "norm": "$@net_args.__dict__"}},
    {"network_def": {"_target_": "monai.networks.layers.factories.LayerFactory", "name": "x", "description": "y"}},
    {"network_def": {"_target_": "scripts.net.Net"}},
]


@pytest.mark.parametrize("content", CODE)
def test_nothing_of_a_bundle_runs_unless_it_is_asked_for(tmp_path, monkeypatch, content):
    bundle(tmp_path, content)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/net.py").write_text("open('ran', 'w')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=r"runs code of the bundle, .*: read it, then say model\.bundle_code: true"):
        network_of_bundle(tmp_path)
    assert not (tmp_path / "ran").exists()


SCRIPT = """
from torch import nn
from scripts.parts import WIDTH

class Net(nn.Sequential):
    def __init__(self, inputs):
        super().__init__(nn.Linear(inputs, WIDTH))
"""


def test_scripts_run_when_they_are_asked_for_and_count_as_the_models_code(tmp_path):
    content = {
        **COMMON,
        "inputs": "$len(os.sep) + 1",
        "network_def": {"_target_": "scripts.net.Net", "inputs": "@inputs"},
    }
    bundle(tmp_path, content, state=nn.Sequential(nn.Linear(2, 3)).state_dict())
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/__init__.py").write_text("")
    (tmp_path / "scripts/net.py").write_text(SCRIPT)
    (tmp_path / "scripts/parts.py").write_text("WIDTH = 3\n")
    made = loaded(tmp_path, bundle_code=True)
    assert made.architecture == "Net"
    assert "built by code of the bundle, as model.bundle_code allows" in made.notes
    (tmp_path / "scripts/parts.py").write_text("WIDTH = 1 + 2\n")
    assert loaded(tmp_path, bundle_code=True).code_sha256 != made.code_sha256


def test_weights_beside_are_named_and_others_can_be_meant(tmp_path):
    bundle(tmp_path, {"network_def": {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 2}},
           state=nn.Linear(2, 2).state_dict())  # fmt: skip
    low = nn.Linear(2, 2).state_dict()
    torch.save(low, tmp_path / "models/model_lowres.pt")
    assert loaded(tmp_path).notes == ("model_lowres.pt of the bundle not loaded",)
    made = loaded(tmp_path, weights=tmp_path / "models/model_lowres.pt")
    assert torch.equal(made.network.weight, low["weight"])
    (tmp_path / "models/model.pt").rename(tmp_path / "models/fold1.pt")
    with pytest.raises(ModelError, match=r"holds fold1\.pt, model_lowres\.pt; say which, model\.weights: models/fold1"):
        loaded(tmp_path)
    (tmp_path / "models/fold1.pt").rename(tmp_path / "models/model.ts")
    (tmp_path / "models/model_lowres.pt").unlink()
    with pytest.raises(ModelError, match=r"it holds none \(model\.ts is TorchScript"):
        loaded(tmp_path)


def test_a_definition_that_holds_itself_is_refused(tmp_path):
    bundle(tmp_path, {})
    (tmp_path / "configs/inference.json").unlink()
    (tmp_path / "configs/inference.yaml").write_text("network_def: &net\n  _target_: UNet\n  inner: *net\n")
    with pytest.raises(ModelError, match="nested too deeply to be read"):
        network_of_bundle(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"network_def": None}, "network_def is a NoneType, not a network"),
        ({"network_def": {"_target_": "UNet"}}, "network_def cannot be built: "),
        ({"network_def": {**UNET, "_disabled_": True}}, "is a NoneType, not a network"),
        ({"network_def": "@network_def"}, "cannot be built: "),
        ({"network_def": "@elsewhere"}, "cannot be built: "),
    ],
)
def test_a_definition_that_builds_nothing_says_so(tmp_path, content, words):
    with pytest.raises(ModelError, match=words):
        network_of_bundle(bundle(tmp_path, content))
