"""Maps that are kept, scored again: the numbers of a full run, and no forward pass."""

import pytest
import torch

from pipeline.errors import ConfigError, OutputError
from pipeline.runs.measure import measure_run
from pipeline.runs.start_watch import StartWatch
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_run import change, complete
from tests.pipeline.shared_pool import POOL


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config = plant(tmp_path_factory.mktemp("measured"), 9)
    return config, complete(config)[0]


def measured(folder, *overrides):
    with measure_run(folder, "camaudit measure", overrides, watch=StartWatch(POOL)) as run:
        for shard in range(run.spec.shards):
            run.work(shard)
        return run.folder, run.finish()


@pytest.fixture
def no_forward(monkeypatch):
    """Refuse what a network is made of; MONAI's transforms, which prepare an image, are modules of its own."""
    call = torch.nn.Module.__call__

    def refuse(self, *inputs, **named):
        if type(self).__module__.startswith("torch."):
            raise AssertionError("a module was run")
        return call(self, *inputs, **named)

    monkeypatch.setattr(torch.nn.Module, "__call__", refuse)


CHANGES = [
    ("overlap.threshold=0.5", {"overlap": {"threshold": 0.5}}),
    ("archive.consensus=majority", {"archive": {"consensus": "majority"}}),
    (
        "criteria=[{metric: iou, method: gradcam, at_least: 0.1}]",
        {"criteria": [{"metric": "iou", "method": "gradcam", "at_least": 0.1}]},
    ),
]


@pytest.mark.parametrize(("override", "keys"), CHANGES, ids=[override for override, _ in CHANGES])
def test_the_numbers_are_those_of_a_full_run_and_the_model_is_never_run(
    finished, tmp_path, no_forward, monkeypatch, override, keys
):
    _, folder = finished
    again, results = measured(folder, override)
    monkeypatch.undo()
    fresh = plant(tmp_path, 9)
    change(fresh, **keys)
    # one pseudonym key, so that rows can be compared
    (tmp_path / "runs").mkdir()
    key = folder.parents[1] / "pseudonym.key"
    (tmp_path / "runs" / "pseudonym.key").write_bytes(key.read_bytes())
    (tmp_path / "runs" / "pseudonym.key").chmod(0o600)
    full, expected = complete(fresh)
    assert (again / "per_study.csv").read_text() == (full / "per_study.csv").read_text()
    assert results.estimates == expected.estimates
    assert results.verdicts == expected.verdicts
    assert results.lock.exploratory


def test_what_changes_a_map_is_refused(finished):
    _, folder = finished
    for override in (
        "model.threshold=0.9",
        "explain.methods=[gradcam, hirescam]",
        "prepare=[{_target_: Identity}]",
        "run.seed=3",
    ):
        with pytest.raises(ConfigError, match="changes what the model says or its maps"):
            measure_run(folder, "c", [override])
    with pytest.raises(ConfigError, match="did you mean 'overlap'"):
        measure_run(folder, "c", ["overlp.threshold=0.5"])


def test_altered_maps_are_not_scored(tmp_path):
    folder, _ = complete(plant(tmp_path, 3))
    path = folder / "maps" / "0000.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"cannot be scored again.*maps/0000\.npz is not used"):
        measure_run(folder, "c", ["overlap.threshold=0.5"])
