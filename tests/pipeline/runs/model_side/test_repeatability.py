"""What a report says of repeatability: always checked, with the size of the difference."""

import numpy as np
import pytest

from pipeline.findings.shards import load_maps
from pipeline.runs.model_side.repeatability import _difference, repeatability
from pipeline.runs.reuse import run_answers
from pipeline.walk.sources import find_sources
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_run import change, complete
from tests.pipeline.steps import begin, open_auditor, read_run, work

RUN = {"batch_size": 1, "device": "cpu", "replicates": 200, "workers": 0}


def said(config):
    folder, results = complete(config)
    return folder, results.provenance.determinism


@pytest.fixture
def config(tmp_path):
    return plant(tmp_path, 3, run=RUN, criteria=[])


def test_maps_of_this_run_and_of_an_earlier_one_are_checked(config):
    _, first = said(config)
    assert first.endswith("was computed again, alone: its 3 maps repeat bit for bit")
    _, second = said(config)
    assert "was computed again, alone, and held against maps of earlier runs: its 3 maps repeat bit for bit" in second
    change(config, explain={"methods": ["gradcam", "hirescam", "layercam", "saliency"]})
    _, third = said(config)
    assert "held against maps of earlier runs and of this one: its 4 maps repeat" in third


def test_a_difference_has_a_size(config, monkeypatch):
    largest = {}

    def altered(run, entries):
        maps = load_maps(run, entries)
        for key, values in maps.items():
            if "hirescam" in key and not key.endswith("/affine"):
                largest[key.split("/")[0]] = np.abs(values).max()
                values.flat[0] += np.abs(values).max() / 64
        return maps

    monkeypatch.setattr("pipeline.runs.model_side.repeatability.load_maps", altered)
    _, words = said(config)
    assert "do NOT repeat bit for bit" in words
    size = f"{largest[words.split()[0]] / 64:.2g}"
    assert f"the largest difference is {size}, 0.016 of its map's largest value (hirescam at 2)" in words


def test_what_cannot_be_checked_says_why(config):
    folder = begin(config, "c")
    for shard in range(read_run(folder)[0].shards):
        work(folder, shard)
    (folder / "maps" / "0000.npz").write_bytes(b"damaged")
    run, members = read_run(folder)
    auditor = open_auditor(config, layers=tuple(layer.name for layer in run.layers))
    audits = list(run_answers(folder, members).values())
    sources = {one.study: one for one in find_sources(auditor.config, auditor.pseudonyms)}
    assert "the stored maps of" in repeatability(folder, audits, auditor, sources)
    assert repeatability(folder, [], auditor, sources) == "not checked: the run has no map"


def test_the_check_reads_the_files_and_leaves_nothing_behind(tmp_path):
    """A kept study would repeat its own mistake, and one kept without the hash of its files would stay for ever."""
    config = plant(tmp_path, 3, run=RUN | {"cache": "cache"}, criteria=[])
    said(config)
    entries = set((tmp_path / "cache").iterdir())
    assert len(entries) == 3
    for entry in entries:
        entry.write_bytes(b"damaged")
    assert "bit for bit" in said(config)[1]
    assert {entry.read_bytes() for entry in entries} == {b"damaged"}


def test_a_map_of_nothing_and_another_target_are_told():
    zeros, one = np.zeros((2, 2), np.float32), np.eye(2, dtype=np.float32)
    assert "bit for bit" in _difference({"s/t/m/l": zeros}, {"s/t/m/l": zeros})
    assert "is 1, 1 of its map's" in _difference({"s/t/m/l": zeros}, {"s/t/m/l": one})
    assert "1 of its 1 maps do NOT come out again" in _difference({"s/t/m/l": zeros}, {})
