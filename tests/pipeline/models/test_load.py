import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from pipeline.config import ModelConfig
from pipeline.errors import ConfigError, ModelError
from pipeline.models.load import choose_device, load_model

CPU = torch.device("cpu")

FACTORY = """
import torch
from torch import nn

def build(outputs=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, outputs))

def wrong():
    return 3

def broken():
    raise RuntimeError("no licence")
"""

DEFINITION = {"_target_": "DenseNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 2, "init_features": 4,
              "growth_rate": 2, "block_config": [1, 1], "bn_size": 1}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    tmp_path.joinpath("makers.py").write_text(FACTORY)
    return tmp_path


def model(**keys):
    return ModelConfig.model_validate({"name": "m", "labels": ["clear", "nodule"], **keys})


def weights_of(folder, name="w.safetensors", outputs=2):
    network = load_model(model(factory="makers:build", arguments={"outputs": outputs}), folder, CPU).network
    state = {key: value + 1 for key, value in network.state_dict().items()}
    path = folder / name
    save_file(state, path) if name.endswith(".safetensors") else torch.save(state, path)
    return path, state


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_factory_with_weights(folder, name):
    path, state = weights_of(folder, name)
    loaded = load_model(model(factory="makers:build", weights=path), folder, CPU)
    assert all(torch.equal(value, state[key]) for key, value in loaded.network.state_dict().items())
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not any(module.training for module in loaded.network.modules())


def test_checkpoint_with_a_nested_state_dict(folder):
    _, state = weights_of(folder)
    torch.save({"state_dict": state, "epoch": 3}, folder / "nested.pt")
    loaded = load_model(model(factory="makers:build", weights=folder / "nested.pt"), folder, CPU)
    assert torch.equal(loaded.network[0].weight, state["0.weight"])


def test_without_a_weights_file_the_weights_themselves_are_hashed(folder):
    one = load_model(model(factory="makers:build"), folder, CPU)
    other = load_model(model(factory="makers:build", arguments={"outputs": 3}), folder, CPU)
    assert one.sha256 == load_model(model(factory="makers:build"), folder, CPU).sha256
    assert one.sha256 != other.sha256
    assert "as the factory set them" in one.source


def test_bundle(tmp_path):
    from pipeline.models.bundle import build_network

    (tmp_path / "configs").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "configs/inference.json").write_text(json.dumps({"network_def": DEFINITION}))
    network = build_network(DEFINITION)
    save_file(network.state_dict(), tmp_path / "models/model.safetensors")
    loaded = load_model(model(bundle=tmp_path), tmp_path, CPU)
    assert loaded.architecture == "DenseNet"
    assert loaded.parameters == sum(parameter.numel() for parameter in network.parameters())


def test_other_hash_is_refused_and_both_are_named(folder):
    path, _ = weights_of(folder)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ModelError, match=f"{digest}.*not the configured {'0' * 64}"):
        load_model(model(factory="makers:build", weights=path, sha256="0" * 64), folder, CPU)
    assert load_model(model(factory="makers:build", weights=path, sha256=digest), folder, CPU).sha256 == digest


class Evil:
    def __reduce__(self):
        return print, ("code ran",)


def test_a_checkpoint_that_needs_code_is_refused_and_does_not_run(folder, capsys):
    torch.save({"state_dict": Evil()}, folder / "evil.pt")
    with pytest.raises(ModelError, match="would run code that is stored in it"):
        load_model(model(factory="makers:build", weights=folder / "evil.pt"), folder, CPU)
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("keys", "kind", "words"),
    [
        ({"factory": "makers:build", "weights": "absent.pt"}, ModelError, "cannot be read"),
        ({"factory": "makers:absent"}, ConfigError, "has no function 'absent'"),
        ({"factory": "absent_module:build"}, ConfigError, "no module 'absent_module' lies beside"),
        ({"factory": "makers:wrong"}, ModelError, "returned a int"),
        ({"factory": "makers:broken"}, ModelError, "no licence"),
        ({"bundle": "absent"}, ModelError, "is not a folder"),
        ({"bundle": "."}, ModelError, "must hold one of inference.json"),
    ],
)
def test_what_cannot_be_loaded(folder, keys, kind, words):
    keys = {name: folder / value if name in ("weights", "bundle") else value for name, value in keys.items()}
    with pytest.raises(kind, match=words):
        load_model(model(**keys), folder, CPU)


def test_weights_of_another_network_are_refused(folder):
    path, _ = weights_of(folder, outputs=3)
    with pytest.raises(ModelError, match=r"do not fit Sequential: size mismatch for 4\.weight"):
        load_model(model(factory="makers:build", weights=path), folder, CPU)


def test_missing_weights_are_refused(folder):
    path, state = weights_of(folder)
    del state["0.bias"]
    save_file(state, path)
    with pytest.raises(ModelError, match=r"1 missing \(first: 0\.bias\)"):
        load_model(model(factory="makers:build", weights=path), folder, CPU)


def test_garbage_weights_are_refused(folder):
    for name in ("w.safetensors", "w.pt"):
        (folder / name).write_bytes(b"not weights at all")
        with pytest.raises(ModelError, match=r"cannot be read as weights|would run code"):
            load_model(model(factory="makers:build", weights=folder / name), folder, CPU)


def test_devices():
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(ConfigError, match="'abacus' is not available"):
        choose_device("abacus")


OWN_CLASS = """
from torch import nn

class Net(nn.Sequential):
    pass

def build():
    return Net(nn.Conv2d(1, 3, 3), nn.Flatten())
"""


def test_the_codes_digest_is_the_same_at_every_load(folder):
    (folder / "own.py").write_text(OWN_CLASS)
    digests = {load_model(model(factory="own:build"), folder, CPU).code_sha256 for _ in range(3)}
    assert len(digests) == 1
