import csv

import pytest
import yaml

from flows.demo.archive import write_archive
from flows.demo.configs import CT, DX
from flows.demo.train import write_bundle
from pipeline.config_file import load_config
from pipeline.models.bundle import build_network
from tests.pipeline.planted import plant


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's archive, and its two networks as they are before any training."""
    folder = tmp_path_factory.mktemp("demo")
    write_archive(folder / "archive", 0)
    for modality in (DX, CT):
        write_bundle(
            build_network(dict(modality.network)), modality, "sound", folder / "models" / f"{modality.name}-sound"
        )
    return folder


@pytest.fixture
def planted(tmp_path):
    path = plant(tmp_path, 6)
    path.unlink()  # init is to write it anew
    return tmp_path


def test_a_draft_of_the_demo_archive_runs_unchanged(demo, tmp_path, camaudit):
    config = tmp_path / "audit.yaml"
    code, out, err = camaudit("init", demo / "archive" / "dx", "--model", demo / "models" / "dx-sound", "-o", config)
    assert code == 0, err
    text = config.read_text()
    assert "GUESS: as the bundle prepares images" in text
    drafted = load_config(config)
    assert drafted.model.labels == DX.labels
    assert drafted.prepare == tuple(dict(step) for step in DX.prepare)
    code, out, err = camaudit("run", config, "--set", "run.engine=local", "--set", "run.replicates=200")
    assert code == 0, err
    assert "40 studies = 40 analysed + 0 excluded + 0 failed" in out


def test_nothing_is_written_over(planted, camaudit):
    config = planted / "audit.yaml"
    arguments = ("init", planted / "archive", "--model", "planted_network:build", "-o", config)
    config.write_text("mine")
    code, _, err = camaudit(*arguments)
    assert code == 2
    assert "is not written over" in err
    assert config.read_text() == "mine"
    config.unlink()
    listed = planted / "audit-manifest.csv"
    listed.write_text("mine")
    assert camaudit(*arguments)[0] == 2
    assert listed.read_text() == "mine"
    assert not config.exists()


def test_a_factory_takes_its_labels_from_the_archive_and_says_so(planted, camaudit):
    config = planted / "audit.yaml"
    code, _, err = camaudit("init", planted / "archive", "--model", "planted_network:build", "-o", config)
    assert code == 0, err
    assert "labels: [negative, lesion]  # GUESS: from the archive's labels" in config.read_text()
    assert "GUESS: nothing tells how images were prepared in training" in config.read_text()
    config.unlink()
    code, _, err = camaudit(
        "init", planted / "archive", "--model", "planted_network:build", "-o", config, "--labels", "clear, lesion"
    )
    assert code == 0, err
    assert "labels: [clear, lesion]\n" in config.read_text()


def test_an_archive_without_a_manifest_gets_one_and_without_masks_no_verdict(planted, camaudit):
    archive = planted / "archive"
    (archive / "manifest.csv").unlink()
    for path in archive.glob("*_*.nii.gz"):
        path.unlink()
    config = planted / "audit.yaml"
    call = ("init", archive, "--model", "planted_network:build", "-o", config)
    code, out, err = camaudit(*call)
    assert code == 0, err
    assert "states no labels and holds no masks, which the profile acceptance asks for" in err
    assert "audit-manifest.csv" in out
    with (planted / "audit-manifest.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6
    content = yaml.safe_load(config.read_text())
    assert content["criteria"] == []
    assert content["explain"]["targets"] == "predicted"
    assert "needs masks, which the archive does not hold" in config.read_text()


@pytest.mark.parametrize("profile", ["acceptance", "retrospective", "shadow", "monitoring", "change"])
def test_profiles_differ_in_what_they_ask(profile, planted, camaudit):
    config = planted / f"{profile}.yaml"
    call = ("init", planted / "archive", "--model", "planted_network:build", "-o", config, "--profile", profile)
    code, _, err = camaudit(*call)
    assert code == 0, err
    drafted, text = load_config(config), config.read_text()
    assert bool(drafted.criteria) == (profile != "shadow")
    assert drafted.explain.targets == (("predicted",) if profile == "shadow" else ("reference",))
    assert ("camaudit schedule" in text) == (profile in ("shadow", "monitoring"))
    assert ("--open-cohort" in text) == (profile == "monitoring")
    assert bool(drafted.change.margins) == (profile == "change")
    assert f"--profile {profile}" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "planted_network:build", "--profile", "acceptence"), "did you mean 'acceptance'?"),
        (("--model", "nowhere"), "--model: must be a MONAI bundle's folder or package.module:function, not 'nowhere'"),
        (("--model", "planted_network:built"), "has no function 'built'"),
    ],
)
def test_what_cannot_be_drafted_is_one_line_and_writes_nothing(arguments, words, planted, camaudit):
    (planted / "archive" / "manifest.csv").unlink()
    before = sorted(path.name for path in planted.iterdir() if path.name != "__pycache__")
    code, _, err = camaudit("init", planted / "archive", *arguments, "-o", planted / "audit.yaml")
    assert code == 2
    assert words in err
    assert sorted(path.name for path in planted.iterdir() if path.name != "__pycache__") == before


def test_a_draft_that_cannot_run_says_why_and_stays(planted, camaudit):
    config = planted / "audit.yaml"
    call = ("init", planted / "archive", "--model", "planted_network:build", "-o", config, "--labels", "a,b,lesion")
    code, _, err = camaudit(*call)
    assert code == 2
    assert "is written, but cannot be run yet: " in err
    assert "3 labels" in err or "2 outputs" in err, err
    assert config.exists()


def test_labels_that_the_model_does_not_have_are_said(planted, camaudit):
    config = planted / "audit.yaml"
    call = ("init", planted / "archive", "--model", "planted_network:build", "-o", config, "--labels", "clear,mass")
    camaudit(*call)
    assert "# LOOK: the archive's labels lesion are none of the model's" in config.read_text()
