from dataclasses import replace

import pytest
import safetensors.torch
import torch
from monai.bundle import ConfigParser

from cam.layers.spatial import spatial_layers
from flows.demo.configs import CT, DX, KINDS, MODALITIES, write_config
from flows.demo.train import draw_training_set, train_model, write_bundle
from pipeline.config_file import load_config
from pipeline.models.bundle import build_network
from pipeline.models.load import load_model


@pytest.fixture(scope="module", params=MODALITIES, ids=lambda modality: modality.name)
def short(request):
    """A modality with a training of two steps, and its pictures."""
    modality = replace(request.param, patients=8, epochs=dict.fromkeys(KINDS, 1))
    return modality, draw_training_set(modality, 0)


def test_training_repeats_itself(short):
    modality, pictures = short
    assert torch.equal(draw_training_set(replace(modality, patients=1), 0), pictures[:1])
    states = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        torch.rand(threads)  # what was drawn before must not count
        states.append(safetensors.torch.save(train_model(modality, "sound", pictures, 0).state_dict()))
        assert torch.get_num_threads() == threads
    assert states[0] == states[1]
    assert not torch.are_deterministic_algorithms_enabled()


def test_kinds_and_seeds_differ(short):
    modality, pictures = short
    bytes_of = [
        safetensors.torch.save(train_model(modality, kind, pictures, seed).state_dict())
        for kind, seed in (("sound", 0), ("shortcut", 0), ("sound", 1))
    ]
    assert len(set(bytes_of)) == 3


def test_bundle_and_configuration_are_read_back(short, tmp_path):
    modality, pictures = short
    network = train_model(modality, "sound", pictures, 0)
    write_bundle(network, modality, "sound", tmp_path / "models" / f"{modality.name}-sound")
    config = load_config(write_config(modality, "sound", tmp_path, 0))
    loaded = load_model(config.model, tmp_path, torch.device("cpu"))
    x = pictures[:2, 1, 0]
    with torch.no_grad():
        torch.testing.assert_close(loaded.network(x), network(x), rtol=0, atol=0)
    assert loaded.network(x).shape == (2, len(modality.labels) if modality.output == "softmax" else 1)
    layer, shape = spatial_layers(loaded.network, x).popitem()
    assert layer == "features"
    assert min(shape) >= 16


@pytest.mark.parametrize("modality", [DX, CT], ids=lambda modality: modality.name)
def test_kinds_are_held_to_the_same_criteria(modality, tmp_path):
    configs = [load_config(write_config(modality, kind, tmp_path, 0)) for kind in KINDS]
    assert configs[0].criteria_digest() == configs[1].criteria_digest()
    assert configs[0].prepare == configs[1].prepare
    assert configs[0].criteria


@pytest.mark.parametrize("modality", MODALITIES, ids=lambda modality: modality.name)
def test_a_cell_looks_at_the_middle_of_its_own_pixels(modality):
    network = build_network(dict(modality.network)).eval()
    prepared = {"dx": (96, 84), "ct": (40, 40, 32)}[modality.name]
    x = torch.rand(1, 1, *prepared, requires_grad=True)
    features = network.get_submodule("features")(x)
    place = tuple(size // 2 for size in features.shape[2:])
    features[(0, slice(None), *place)].sum().backward()
    for axis, (index, size) in enumerate(zip(place, features.shape[2:], strict=True)):
        touched = x.grad[0, 0].abs().sum(tuple(other for other in range(len(prepared)) if other != axis)).nonzero()
        step = prepared[axis] / size
        middle = (touched.min() + touched.max()).item() / 2
        assert middle == pytest.approx((index + 0.5) * step - 0.5)


def test_configurations_name_existing_transforms():
    for modality in MODALITIES:
        parser = ConfigParser({"prepare": [dict(step) for step in modality.prepare]})
        assert all(parser.get_parsed_content(f"prepare#{number}") for number in range(len(modality.prepare)))
