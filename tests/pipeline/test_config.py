"""``audit.yaml``: each rule, in the words that its user reads."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from pipeline.checks.config_checks import check_names
from pipeline.config import AuditConfig
from pipeline.config_file import load_config
from pipeline.errors import ConfigError

CONTENT = {
    "name": "nodule-ct",
    "archive": {"path": "archive", "manifest": "archive/manifest.csv"},
    "model": {
        "name": "Nodule",
        "factory": "package.module:build",
        "arguments": {"depth": 18},
        "weights": "weights/model.safetensors",
        "labels": ["benign", "malignant"],
    },
    "prepare": [{"_target_": "ScaleIntensityRange", "a_min": -1000}],
    "explain": {"methods": ["gradcam", "hirescam"], "targets": ["predicted"]},
    "criteria": [{"metric": "hit_rate", "method": "gradcam", "at_least": 0.7}],
}
GONE = object()


def changed(content, changes):
    """Return the content with values set by dotted keys (numbers are list positions); GONE deletes."""
    content = copy.deepcopy(content)
    for key, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in key.split(".")]
        part = content
        for parent in parents:
            part = part[parent] if isinstance(parent, int) else part.setdefault(parent, {})
        if value is GONE:
            del part[last]
        else:
            part[last] = value
    return content


@pytest.fixture
def load(tmp_path):
    def load(changes=None, content=CONTENT, unchecked=False) -> AuditConfig:
        path = tmp_path / "audit.yaml"
        path.write_text(yaml.safe_dump(changed(content, changes or {})), encoding="utf-8")
        return (load_config if unchecked else check_names)(path)

    return load


def test_the_defaults_are_the_stated_ones(load):
    config = load()
    assert config.overlap.threshold == "otsu"
    assert config.model.output == "softmax"
    assert config.model.layers == ("auto",)
    assert config.criteria[0].confidence == 0.95
    assert config.criteria[0].among == "reference_positive"
    assert (config.run.seed, config.run.replicates, config.run.device) == (0, 2000, "auto")


def test_relative_paths_are_relative_to_the_files_folder(load, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    config = load({"run.output": "../runs"})
    assert config.archive.path == tmp_path / "archive"
    assert config.archive.manifest == tmp_path / "archive" / "manifest.csv"
    assert config.model.weights == tmp_path / "weights" / "model.safetensors"
    assert config.run.output == tmp_path / ".." / "runs"
    assert config.model.bundle is None


def test_absolute_paths_and_the_home_folder_stay(load, monkeypatch):
    monkeypatch.setenv("HOME", "/home/qa")
    config = load({"archive.path": "/data/archive", "archive.manifest": "~/list.csv"})
    assert config.archive.path == Path("/data/archive")
    assert config.archive.manifest == Path("/home/qa/list.csv")


def test_a_configuration_cannot_be_changed(load):
    with pytest.raises(ValueError, match="frozen"):
        load().name = "other"


MISSPELT = [
    ("modle", "unknown key 'modle'; did you mean 'model'?"),
    ("archive.pat", "unknown key 'archive.pat'; did you mean 'path'?"),
    ("model.label", "unknown key 'model.label'; did you mean 'labels'?"),
    ("explain.method", "unknown key 'explain.method'; did you mean 'methods'?"),
    ("overlap.treshold", "unknown key 'overlap.treshold'; did you mean 'threshold'?"),
    ("criteria.0.at_lest", "unknown key 'criteria.0.at_lest'; did you mean 'at_least'?"),
    ("report.organization", "unknown key 'report.organization'; did you mean 'organisation'?"),
    ("report.cases.wurst", "unknown key 'report.cases.wurst'; did you mean 'worst'?"),
    ("run.sead", "unknown key 'run.sead'; did you mean 'seed'?"),
    (
        "run.xyz",
        "unknown key 'run.xyz'; known: batch_size, cache, cache_gib, cluster, device, engine, lost_at_most, "
        "memory_format, mode, output, pool, precision, processes, replicates, scoring, seed, shard_size, workers",
    ),
]


@pytest.mark.parametrize(("key", "message"), MISSPELT, ids=[key for key, _ in MISSPELT])
def test_a_misspelt_key_is_refused_with_the_nearest_right_one(load, tmp_path, key, message):
    with pytest.raises(ConfigError) as caught:
        load({key: 1})
    where, _, said = str(caught.value).partition(": ")
    line = (tmp_path / "audit.yaml").read_text().splitlines()[int(where.rpartition(":")[2]) - 1]
    assert (where.rpartition(":")[0], said) == (str(tmp_path / "audit.yaml"), message)
    assert f"{key.rpartition('.')[2]}:" in line


NAN = float("nan")
A_RULE = "must be otsu, otsu-chexlocalize, percentile-<number below 100> or a share of the maximum between 0 and 1"
WRONG = [
    ({"archive": GONE}, "archive: field required"),
    ({"name": "Nodule CT"}, "name: string should match pattern .*, not 'Nodule CT'"),
    ({"name": 7}, "name: input should be a valid string, not 7"),
    ({"model.labels": ["one"]}, "model: labels must be at least two, the first of them the negative one, not 1"),
    (
        {"model.labels": ["a", "a"]},
        r"model: labels must differ from each other by more than capitals, not \['a', 'a'\]",
    ),
    ({"model.labels": ["mass", "Mass "]}, r"model: labels must differ from each other by more than capitals, not"),
    ({"model.labels": ["mass", " "]}, r"model: labels must differ from each other by more than capitals, not"),
    ({"model.labels": [False, True]}, "model.labels.0: input should be a valid string, not False"),
    ({"model.factory": GONE}, "model: give exactly one of bundle and factory"),
    ({"model.bundle": "bundle"}, "model: give exactly one of bundle and factory"),
    (
        {"model.factory": GONE, "model.bundle": "b"},
        "model: arguments belong to factory; a bundle has its own: remove them",
    ),
    ({"model.sha256": "5c1f"}, "model.sha256: string should match pattern .*, not '5c1f'"),
    ({"model.threshold": 0}, "model.threshold: input should be greater than 0, not 0"),
    ({"model.threshold": 1.0}, "model.threshold: input should be less than 1, not 1.0"),
    ({"model.bundle_code": True}, "model: bundle_code is of a bundle; a factory is code anyway: leave it out"),
    ({"model.multi_label": True}, "model: multi_label goes with output logits or probability, not 'softmax'"),
    (
        {"model.output": "regression", "model.threshold": 0.4},
        "model: threshold does not go with output regression, which calls no label: leave it out",
    ),
    (
        {"model.output": "regression", "model.segmentation": True},
        "model: segmentation does not go with output regression",
    ),
    ({"model.grids": {"features": {}}}, r"model.grids.features: give exactly one of slices \(an axis\) and tokens"),
    (
        {"model.grids": {"features": {"slices": 3}}},
        "model.grids.features.slices: input should be less than or equal to 2",
    ),
    ({"model.threshold": 1.5}, "model.threshold: input should be less than 1, not 1.5"),
    (
        {"model.output": "softmx"},
        "model.output: input should be 'softmax', 'sigmoid', 'single_logit', 'logits', 'probability' or 'regression'",
    ),
    (
        {"model.output": "single_logit", "model.labels": ["a", "b", "c"], "explain.targets": ["a"]},
        r"model: a single logit needs two labels, the negative and the positive one, not 3",
    ),
    ({"prepare": []}, r"prepare: the list should have at least 1 item, not \[\]"),
    ({"explain.methods": []}, "explain.methods: the list should have at least 1 item"),
    ({"explain.methods": 7}, "explain.methods: input should be a valid list, not 7"),
    (
        {"explain.targets": ["malignat"]},
        "explain.targets: must be among reference, predicted, benign, malignant, not 'malignat'",
    ),
    ({"archive.label": "nodule", "archive.manifest": GONE}, "archive.label: must be one of model.labels, not 'nodule'"),
    ({"overlap.threshold": "otsuu"}, f"overlap.threshold: {A_RULE}, not 'otsuu'$"),
    ({"overlap.threshold": "percentile-100"}, f"overlap.threshold: {A_RULE}, not 'percentile-100'$"),
    ({"overlap.threshold": 1}, f"overlap.threshold: {A_RULE}, not 1$"),
    ({"overlap.threshold": 0}, f"overlap.threshold: {A_RULE}, not 0$"),
    ({"overlap.tolerance_mm": 0}, "overlap.tolerance_mm: input should be greater than 0, not 0"),
    ({"overlap.smallest_lesion": -1}, "overlap.smallest_lesion: input should be greater than or equal to 0, not -1"),
    ({"criteria.0.at_most": 0.9}, "criteria.0: give exactly one of at_least, at_most, better_than"),
    (
        {"criteria.0.better_than": "centre_prior"},
        "criteria.0: give exactly one of at_least, at_most, better_than",
    ),
    ({"criteria.0.at_least": GONE}, "criteria.0: give exactly one of at_least, at_most, better_than"),
    ({"criteria.0.at_least": NAN}, "criteria.0.at_least: input should be a finite number, not nan"),
    ({"criteria.0.at_least": "high"}, "criteria.0.at_least: input should be a valid number.*, not 'high'"),
    ({"criteria.0.confidence": 1}, "criteria.0.confidence: input should be less than 1, not 1"),
    (
        {"criteria.0.confidence": 0.4},
        "criteria.0.confidence: input should be greater than or equal to 0.9, not 0.4",
    ),
    (
        {"criteria.0.among": "positives"},
        "criteria.0.among: must be all, reference_positive, .*, or a cell .*, not 'positives'",
    ),
    (
        {"report.cases": "some"},
        "report.cases: input should be a mapping of keys or input should be 'all', not 'some'$",
    ),
    ({"report.cases.worst": -1}, "report.cases.worst: input should be greater than or equal to 0, not -1$"),
    (
        {"report.window": [400, -160]},
        r"report.window: must be \(low, high\) with low below high, not \[400.0, -160.0\]",
    ),
    ({"report.window": [1, 2, 3]}, r"report.window: the list should have at most 2 items, not \[1, 2, 3\]"),
    ({"run.seed": -1}, "run.seed: input should be greater than or equal to 0, not -1"),
    (
        {"run.batch_size": 0},
        "run.batch_size: input should be greater than or equal to 1 or input should be 'auto', not 0",
    ),
    ({"run.shard_size": 0}, "run.shard_size: input should be greater than or equal to 1, not 0"),
    ({"run.replicates": 199}, "run.replicates: input should be greater than or equal to 200, not 199"),
    (
        {"run.batch_size": 10**9},
        "run.batch_size: input should be less than or equal to 1024 or input should be 'auto', not 1000000000",
    ),
    ({"criteria.0.at_least": 70}, "criteria.0.at_least: hit_rate lies within 0 and 1, not 70; is 0.7 meant?"),
    ({"criteria.0.metric": "hit"}, "criteria.0.metric: unknown name 'hit'; did you mean 'hit_rate'?"),
    ({"criteria.0.method": "grdcam"}, "criteria.0.method: unknown name 'grdcam'; did you mean 'gradcam'?"),
    ({"criteria.0": {"metric": "acuracy", "at_least": 0.1}}, "criteria.0.metric: .* did you mean 'accuracy'?"),
    ({"criteria.0": {"metric": "iou", "at_least": 0.1}}, "criteria.0: iou is measured on maps; add 'method:'"),
    (
        {"criteria.0": {"metric": "accuracy", "among": "true_positive", "at_least": 0.1}},
        "criteria.0.among: the classifier is judged on all studies",
    ),
    (
        {"criteria.0": {"metric": "accuracy", "better_than": "random_map"}},
        "criteria.0.better_than: compares two maps; add 'method:'",
    ),
    ({"explain.methods": ["gradcm"]}, "explain.methods: unknown method 'gradcm'; did you mean 'gradcam'?"),
    (
        {"model.labels": ["reference", "b"], "explain.targets": ["b"]},
        "model.labels: 'reference' is a word with its own meaning",
    ),
    ({"prepare.0._target_": "Spacin"}, "prepare.0._target_: unknown transform 'Spacin'; did you mean 'Spacing'?"),
    ({"run.device": "gpu"}, "run.device: must be auto, cpu, cuda or cuda:<number>, not 'gpu'"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[str(list(changes)) for changes, _ in WRONG])
def test_a_wrong_value_is_refused_in_one_line(load, changes, message):
    with pytest.raises(ConfigError) as caught:
        load(changes)
    assert any(re.search(message, line) for line in str(caught.value).splitlines()), str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", r"must hold keys such as name, archive, model, prepare; it holds \['a', 'b'\]"),
        ("", "must hold keys such as name, archive, model, prepare; it holds None"),
        ("name: [\n", "is not YAML"),
        ("name: a\nname: b\n", "is not YAML: key 'name' is given twice"),
        ("run: {seed: 1, seed: 2}\n", "is not YAML: key 'seed' is given twice"),
        ("name: !!python/object/apply:os.getcwd []\n", "is not YAML"),
    ],
)
def test_a_file_that_is_not_a_configuration_is_refused(tmp_path, text, message):
    (tmp_path / "audit.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "audit.yaml")


def test_a_file_that_is_not_text_or_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere.yaml: cannot be read: No such file"):
        load_config(tmp_path / "nowhere.yaml")
    (tmp_path / "audit.yaml").write_bytes(b"\xff\xfe\x00\x9f")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(tmp_path / "audit.yaml")


def test_yaml_anchors_and_merges_still_work(tmp_path):
    base = yaml.safe_dump({**CONTENT, "criteria": []}).replace("criteria: []\n", "")
    criteria = "criteria:\n- &one {metric: hit_rate, at_least: 0.5}\n- {<<: *one, at_least: 0.6}\n"
    (tmp_path / "audit.yaml").write_text(base + criteria, encoding="utf-8")
    assert [one.at_least for one in load_config(tmp_path / "audit.yaml").criteria] == [0.5, 0.6]


NUMBER_CHANGING = {
    "archive.label": "malignant",
    "archive.voi": "apply",
    "archive.volume": {"b_value": 1000},
    "archive.pet": "suv_bw",
    "archive.regrid": "nearest",
    "archive.consensus": "staple",
    "archive.contours": "union",
    "model.factory": "package.module:other",
    "model.arguments.depth": 34,
    "model.labels": ["malignant", "benign"],
    "model.output": "sigmoid",
    "model.threshold": 0.4,
    "model.output_name": "logits",
    "model.segmentation": True,
    "model.weights_key": "ema",
    "model.grids": {"layer3": {"slices": 0}},
    "model.layers": ["layer3"],
    "model.sha256": "0" * 64,
    "prepare.0.a_min": -900,
    "explain.methods": ["gradcam"],
    "explain.options": {"gradcam": {}},
    "explain.targets": ["reference"],
    "overlap.threshold": 0.5,
    "overlap.tolerance_mm": 4.0,
    "overlap.smallest_lesion": 10.0,
    "overlap.align": "receptive_field",
    "overlap.baselines": ["edge_map"],
    "overlap.metrics": ["hd95"],
    "run.precision": "autocast",
    "run.memory_format": "channels_last",
    "run.mode": "fast",
    "run.seed": 1,
}
OF_NO_EFFECT = {
    "name": "other",
    "run.processes": 3,
    "run.pool": "gpus",
    "run.cluster": "tcp://127.0.0.1:8786",
    "archive.path": "elsewhere",
    "archive.manifest": "elsewhere.csv",
    "archive.layout": "dicom",
    "archive.modalities": ["t1c"],
    "archive.dicomweb": "https://pacs/dicom-web",
    "archive.cache_gib": 2.5,
    "model.name": "Other",
    "model.version": "2",
    "model.training_data": "1000 studies",
    "model.training_hashes": "training.sha256",
    "statements.readers": ["two"],
    "model.weights": "elsewhere.safetensors",
    "criteria.0.at_least": 0.8,
    "report.title": "Other",
    "report.organisation": "Hospital",
    "report.prepared_by": "QA",
    "report.intended_use": "none",
    "report.reference_standard": "two readers",
    "report.cases": "all",
    "report.pictures": "all",
    "report.window": [-160, 240],
    "report.frameworks": ["clix-m"],
    "report.predecessor": "runs/before",
    "report.fonts": ["fonts/extra.ttf"],
    "report.volumes": "crops",
    "change.margins": {"iou": 0.05},
    "change.confidence": 0.9,
    "change.missing_at_most": 0.2,
    "run.output": "elsewhere",
    "run.cache": "prepared",
    "run.cache_gib": 2.5,
    "run.device": "cpu",
    "run.batch_size": 2,
    "run.shard_size": 16,
    "run.replicates": 500,
    "run.workers": 2,
    "run.engine": "local",
    "run.scoring": "numpy",
    "run.lost_at_most": 0.5,
}


@pytest.mark.parametrize("key", NUMBER_CHANGING)
def test_what_changes_a_number_changes_the_recipe(load, key):
    assert load({key: NUMBER_CHANGING[key]}, unchecked=True).recipe() != load().recipe()


@pytest.mark.parametrize("key", OF_NO_EFFECT)
def test_what_changes_no_number_leaves_the_recipe(load, key):
    assert load({key: OF_NO_EFFECT[key]}, unchecked=True).recipe() == load().recipe()


@pytest.mark.parametrize("key", ["archive.layout", "archive.modalities"])
def test_what_chooses_among_images_goes_without_a_manifest(load, key):
    with pytest.raises(ConfigError, match=rf"{key}: must not be given with a manifest"):
        load({key: OF_NO_EFFECT[key]})
    with pytest.raises(ConfigError, match=r"archive\.layout"):
        load({"archive.layout": "totalsegmentor", "archive.manifest": None})


def test_labels_that_do_not_exclude_each_other_change_the_recipe(load):
    logits = load({"model.output": "logits"}, unchecked=True)
    labels = load({"model.output": "logits", "model.multi_label": True}, unchecked=True)
    assert logits.recipe() != labels.recipe()
    assert (logits.model.negative_label, labels.model.negative_label) == ("benign", None)


def test_every_key_is_known_to_change_the_recipe_or_not():
    """A new key has to be put on one of the two lists above, or it goes stale in reused rows."""
    parts = {"archive", "model", "explain", "overlap", "change", "report", "run"}
    fields = AuditConfig.model_fields
    keys = {f"{part}.{key}" for part in parts for key in fields[part].annotation.model_fields}
    listed = {".".join(key.split(".")[:2]) for key in (*NUMBER_CHANGING, *OF_NO_EFFECT)}
    assert keys - listed == {"model.bundle", "model.bundle_code", "model.multi_label"}  # they go with others
    assert set(fields) - parts == {"name", "prepare", "criteria", "experiments", "statements", "keep"}


def test_the_recipe_does_not_depend_on_the_order_of_keys_or_on_the_folder(load, tmp_path):
    content = {key: CONTENT[key] for key in reversed(CONTENT)}
    (tmp_path / "other").mkdir()
    path = tmp_path / "other" / "audit.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    assert load_config(path).recipe() == load().recipe()


def test_infinities_in_the_preparation_are_told_apart(load):
    recipes = {load({"prepare.0.a_max": value}).recipe() for value in (float("inf"), float("-inf"), None)}
    assert len(recipes) == 3


def test_the_criteria_have_their_own_digest(load):
    assert load({"run.lost_at_most": 0.5}).criteria_digest() != load().criteria_digest()
    assert load({"criteria.0.at_least": 0.71}).criteria_digest() != load().criteria_digest()
    assert load({"run.seed": 5, "report.title": "Other"}).criteria_digest() == load().criteria_digest()


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        ({"b_value": -1}, "archive.volume.b_value: input should be greater than or equal to 0, not -1"),
        ({"b_value": float("nan")}, "archive.volume.b_value: input should be a finite number"),
        ({"echo": 0}, "archive.volume.echo: input should be greater than or equal to 1, not 0"),
        ({"bvalue": 3}, "unknown key 'archive.volume.bvalue'; did you mean 'b_value'?"),
        ({}, "archive.volume must state one or more of b_value, time, echo and index"),
        (-1, "greater than or equal to 0, not -1"),
    ],
)
def test_a_choice_of_a_volume_that_is_none_is_refused(load, volume, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        load({"archive.volume": volume})


def test_a_volume_may_be_chosen_by_a_number_alone(load):
    assert load({"archive.volume": 3}).archive.volume == 3
