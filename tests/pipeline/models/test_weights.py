"""Checkpoints as tools write them: loaded as they are meant, or refused with what to say."""

import hashlib
import json
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.errors import ModelError
from pipeline.models.bundle_files import weights_digest
from pipeline.models.weights import load_weights


def network(value=None):
    made = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    if value is not None:
        with torch.no_grad():
            made[0].weight.fill_(value)
    return made


def loaded(path, key=None):
    empty = network(0.0)
    return empty, load_weights(empty, path, key)


def weight(made):
    return made[0].weight[0, 0].item()


def prefixed(prefix, value):
    return {prefix + name: tensor for name, tensor in network(value).state_dict().items()}


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.", "module._orig_mod.", "net.backbone."])
@pytest.mark.parametrize("container", [None, "state_dict", "network_weights", "net", "network", "ema", "weights_2"])
def test_weights_as_tools_write_them_are_loaded_and_what_was_done_is_told(tmp_path, prefix, container):
    state = prefixed(prefix, 3.0)
    torch.save(state if container is None else {container: state, "epoch": 3, "optimizer": {}}, tmp_path / "w.pt")
    made, notes = loaded(tmp_path / "w.pt")
    assert weight(made) == 3.0
    assert [note for note in notes if "prefix" in note] == (
        [f"the prefix {prefix} was left out of the weights' names"] if prefix else []
    )
    assert any(f"the part {container} of" in note for note in notes) is (container is not None)


def test_a_prefix_stays_where_the_networks_own_names_have_it(tmp_path):
    made = nn.ModuleDict({"model": nn.Linear(2, 2)})
    torch.save(made.state_dict(), tmp_path / "w.pt")
    assert load_weights(nn.ModuleDict({"model": nn.Linear(2, 2)}), tmp_path / "w.pt") == ()


def test_a_prefix_that_would_leave_other_names_of_the_network_stays(tmp_path):
    def nested():
        return nn.ModuleDict({"m": nn.ModuleDict({"m": nn.Linear(2, 2), "n": nn.Linear(2, 2)}), "n": nn.Linear(2, 2)})

    made = nested()
    del made["n"]
    torch.save(made.state_dict(), tmp_path / "w.pt")
    whole = nested()
    state = {f"m.{name}": value for name, value in whole.state_dict().items()}
    torch.save(state, tmp_path / "prefixed.pt")
    assert load_weights(nested(), tmp_path / "prefixed.pt") == ("the prefix m. was left out of the weights' names",)
    with pytest.raises(ModelError, match=r"2 missing \(first: n\.weight\), 0 unexpected"):
        load_weights(nested(), tmp_path / "w.pt")


def test_a_prefix_of_some_names_only_is_no_prefix(tmp_path):
    state = {f"model.{name}" if name == "0.weight" else name: value for name, value in network().state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"1 missing \(first: 0\.weight\), 1 unexpected \(first: model\.0\.weight\)"):
        loaded(tmp_path / "w.pt")


def test_two_sets_that_fit_have_to_be_told_apart(tmp_path):
    torch.save({"state_dict": prefixed("", 1.0), "ema": {"module": prefixed("module.", 2.0)}}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"that fit, 'state_dict', 'ema\.module': say which, model\.weights_key"):
        loaded(tmp_path / "w.pt")
    assert weight(loaded(tmp_path / "w.pt", "ema.module")[0]) == 2.0
    with pytest.raises(ModelError, match=r"weights_key: 'emma' is no set of weights in w\.pt; did you mean 'ema"):
        loaded(tmp_path / "w.pt", "emma")


def test_two_equal_sets_need_not_be_told_apart(tmp_path):
    state = prefixed("", 1.0)
    torch.save({"state_dict": state, "ema": dict(state)}, tmp_path / "w.pt")
    assert weight(loaded(tmp_path / "w.pt")[0]) == 1.0


def test_the_set_that_fits_is_taken(tmp_path):
    torch.save({"discriminator": nn.Linear(5, 5).state_dict(), "generator": prefixed("", 4.0)}, tmp_path / "w.pt")
    assert weight(loaded(tmp_path / "w.pt")[0]) == 4.0


def test_a_key_of_a_file_that_is_one_state_dict_is_refused(tmp_path):
    torch.save(prefixed("", 1.0), tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"the file is one state dict: leave model\.weights_key out"):
        loaded(tmp_path / "w.pt", "ema")


def test_what_holds_no_weights_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="must hold a state dict of tensors"):
        loaded(tmp_path / "w.pt")


def test_weights_of_a_gpu_are_loaded_on_this_machine(tmp_path):
    torch.save(prefixed("", 5.0), tmp_path / "cpu.pt")
    with zipfile.ZipFile(tmp_path / "cpu.pt") as source, zipfile.ZipFile(tmp_path / "w.pt", "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename.endswith("data.pkl"):  # where each storage says what device it was on
                assert content.count(b"X\x03\x00\x00\x00cpu") == 1
                content = content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:3")
            target.writestr(entry, content)
    assert weight(loaded(tmp_path / "w.pt")[0]) == 5.0


def sharded(folder, value):
    state = {name: tensor.contiguous() for name, tensor in network(value).state_dict().items()}
    parts = {"model-00001-of-00002.safetensors": ["0.weight"]}
    parts["model-00002-of-00002.safetensors"] = [name for name in state if name != "0.weight"]
    for name, weights in parts.items():
        save_file({weight: state[weight] for weight in weights}, folder / name)
    places = {weight: name for name, weights in parts.items() for weight in weights}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index, parts


def test_sharded_weights_are_loaded_and_hashed_as_a_whole(tmp_path):
    index, parts = sharded(tmp_path, 6.0)
    assert weight(loaded(index)[0]) == 6.0
    names = [index.name, *sorted(parts)]
    lines = "".join(f"{name} {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}\n" for name in names)
    assert weights_digest(index) == hashlib.sha256(lines.encode()).hexdigest()
    before = weights_digest(index)
    sharded(tmp_path, 7.0)
    assert weights_digest(index) != before


@pytest.mark.parametrize("name", ["../w.safetensors", "/etc/passwd", "a/b.safetensors", ".."])
def test_an_index_leads_nowhere_else(tmp_path, name):
    index, _ = sharded(tmp_path, 1.0)
    index.write_text(json.dumps({"weight_map": {"0.weight": name}}))
    with pytest.raises(ModelError, match="must name files of its own folder"):
        loaded(index)
    with pytest.raises(ModelError, match="must name files of its own folder"):
        weights_digest(index)


def test_a_shard_that_lacks_what_the_index_says_is_refused(tmp_path):
    index, parts = sharded(tmp_path, 1.0)
    first, second = parts
    places = json.loads(index.read_text())["weight_map"]
    index.write_text(json.dumps({"weight_map": {**places, "0.weight": second}}))
    with pytest.raises(ModelError, match=r"says that model-00002-of-00002\.safetensors holds 0\.weight, and it does"):
        loaded(index)
    index.write_text("[]")
    with pytest.raises(ModelError, match="must be an index with a weight_map"):
        loaded(index)
    (tmp_path / first).unlink()
    sharded_again = json.dumps({"weight_map": places})
    index.write_text(sharded_again)
    with pytest.raises(ModelError, match="cannot be read"):
        weights_digest(index)
