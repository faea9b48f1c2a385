"""The file's lines, overrides, and all faults at once."""

import re

import pytest
import yaml

from pipeline.checks.names import TABLE, registered_names
from pipeline.config_file import ConfigFaultsError, load_config
from pipeline.errors import ConfigError
from tests.pipeline.test_config import CONTENT, changed

TEXT = """\
name: Nodule CT
archive: {path: a, manifst: b}
model:
  name: 3
  factory: package.module:build
  labels: []
prepare: [3, {_target_: Spacing}]
explian: {}
overlap: {threshold: 2}
criteria:
  - {metric: hit_rate, method: gradcam, at_lest: 3}
  - {metric: hit_rate, method: gradcam, at_least: high, at_most: 3}
  - {metric: 3, at_least: 0.5}
report: {window: [4, 1], cases: {wurst: 3}}
run: {batch_size: 1000000000, seed: -1}
"""


@pytest.fixture
def load(tmp_path):
    def load(content=CONTENT, overrides=()):
        path = tmp_path / "audit.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return load_config(path, overrides)

    return load


def test_the_table_of_names_is_the_registries():
    import json

    assert json.loads(TABLE.read_text()) == registered_names(), "run: python -m pipeline.checks.names"


def test_all_faults_are_told_each_with_its_line(load):
    with pytest.raises(ConfigFaultsError) as caught:
        load(TEXT)
    told = [
        re.search(r"audit\.yaml:(\d+): (?:unknown key ')?([\w.]+)", line) for line in str(caught.value).splitlines()
    ]
    assert sorted((int(one[1]), one[2].rstrip(":'")) for one in told) == [
        (1, "name"),
        (2, "archive.manifst"),
        (4, "model.name"),
        (6, "model.labels"),
        (7, "prepare.0"),
        (8, "explian"),
        (9, "overlap.threshold"),
        (11, "criteria.0.at_lest"),
        (12, "criteria.1.at_least"),
        (13, "criteria.2.metric"),
        (14, "report.cases.wurst"),
        (14, "report.window"),
        (15, "run.batch_size"),
        (15, "run.seed"),
    ]


def test_what_follows_from_a_fault_is_not_told_as_another(load):
    with pytest.raises(ConfigFaultsError) as caught:
        load(changed(CONTENT, {"criteria.0": {"metric": "hit_rate", "method": "gradcam", "at_lest": 0.5}}))
    (line,) = str(caught.value).splitlines()
    assert "unknown key 'criteria.0.at_lest'; did you mean 'at_least'?" in line


def test_an_override_is_the_value_and_is_named_where_it_is_wrong(load):
    config = load(overrides=["run.seed=3", "criteria.0.at_least=0.8", "explain.methods=[layercam]", "report.title=a=b"])
    assert (config.run.seed, config.criteria[0].at_least) == (3, 0.8)
    assert (config.explain.methods, config.report.title) == (("layercam",), "a=b")
    with pytest.raises(ConfigError, match=r"^--set run.seed=-1: run.seed: input should be greater than"):
        load(overrides=["run.seed=-1"])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("run.seed", "must be key=value, such as run.seed=3, not 'run.seed'"),
        ("=3", "must be key=value"),
        ("run.seed=[", "the value is not YAML"),
        ("criteria.5.at_least=1", "there is no 5 in the configuration that could be set"),
        ("name.first=1", "there is no 'first' in the configuration that could be set"),
        ("run.sead=1", "unknown key 'run.sead'; did you mean 'seed'?"),
    ],
)
def test_an_override_that_cannot_be_set(load, override, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        load(overrides=[override])


@pytest.mark.parametrize(("given", "read"), [("auto", ("auto",)), (["a", "b"], ("a", "b"))])
def test_one_layer_may_stand_without_a_list(load, given, read):
    assert load(changed(CONTENT, {"model.layers": given})).model.layers == read


def test_a_lock_in_an_audits_place_is_told_in_one_line(tmp_path):
    path = tmp_path / "nodule-ct.lock.yaml"
    path.write_text('{"schema_version": 2, "audit": "Nodule CT", "locked_at": "2026-11-30T09:12:34+00:00"}')
    with pytest.raises(ConfigError) as told:
        load_config(path)
    assert str(told.value) == (
        f"{path}: is the lock of an audit; give the audit itself, nodule-ct.yaml, which finds its lock"
    )
