"""What a bundle says of itself: a bundle of MONAI's model zoo prepares dictionaries, and refers to its own values."""

import json

import pytest

from pipeline.models.prepare import build_transforms
from pipeline.models.traits.bundle_facts import facts_of_bundle


def write_bundle(folder, preprocessing, metadata=None, **values):
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "models" / "model.pt").touch()
    content = {"network_def": {"_target_": "torch.nn.Identity"}, "preprocessing": preprocessing, **values}
    (folder / "configs" / "inference.json").write_text(json.dumps(content))
    if metadata is not None:
        (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return folder


def test_dictionary_transforms_become_those_of_the_image(tmp_path):
    steps = [
        {"_target_": "LoadImaged", "keys": ["image", "label"]},
        {"_target_": "EnsureChannelFirstd", "keys": ["image", "label"]},
        {"_target_": "Orientationd", "keys": ["image", "label"], "axcodes": "RAS"},
        {"_target_": "monai.transforms.Spacingd", "keys": ["label", "image"], "pixdim": "@spacing",
         "mode": ["nearest", "bilinear"]},
        {"_target_": "AsDiscreted", "keys": "label", "to_onehot": 2},
        {"_target_": "RandFlipd", "keys": "image", "prob": 0.5},
        {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": "$-1000", "a_max": 400, "b_min": 0, "b_max": 1},
        {"_target_": "EnsureTyped", "keys": "image"},
    ]  # fmt: skip
    bundle = write_bundle(tmp_path, {"_target_": "Compose", "transforms": steps}, spacing=[1.0, 1.0, 2.0])
    facts = facts_of_bundle(bundle)
    assert facts.steps[:2] == (
        {"_target_": "Orientation", "axcodes": "RAS"},
        {"_target_": "Spacing", "pixdim": [1.0, 1.0, 2.0], "mode": "bilinear"},
    )
    build_transforms(facts.steps)
    assert [note.partition(":")[0] for note in facts.skipped] == ["RandFlip", "ScaleIntensityRange"]


@pytest.mark.parametrize(
    "channels", [None, {}, {"0": "a", "2": "b"}, {"0": "a", "1": 3}, {"0": "", "1": "b"}, ["a", "b"], "ab"]
)
def test_labels_that_are_not_one_for_each_channel_are_none(channels, tmp_path):
    metadata = {"network_data_format": {"outputs": {"pred": {"channel_def": channels}}}}
    assert facts_of_bundle(write_bundle(tmp_path, [], metadata)).labels == ()


@pytest.mark.parametrize("content", ["[]", "{", '{"network_data_format": 3, "version": 1}'])
def test_metadata_of_any_kind_is_no_fault(content, tmp_path):
    bundle = write_bundle(tmp_path, "nothing")
    (bundle / "configs" / "metadata.json").write_text(content)
    facts = facts_of_bundle(bundle)
    assert (facts.labels, facts.version, facts.steps) == ((), None, ())


@pytest.mark.parametrize("kind", ["expression", "target", "nested", "key"])
def test_nothing_of_a_bundle_is_run(kind, tmp_path):
    mark = tmp_path / "ran"
    expression = f"$__import__('pathlib').Path({str(mark)!r}).touch()"
    steps = {
        "expression": {"_target_": "Resize", "spatial_size": [expression]},
        "target": {"_target_": "os.mkdir", "path": str(mark)},
        "nested": {"_target_": "Resize", "spatial_size": {"_target_": "os.mkdir", "path": str(mark)}},
        "key": {"_target_": "Resize", "spatial_size": 3, "mode": {expression: 1}},
    }
    facts = facts_of_bundle(write_bundle(tmp_path / "bundle", [steps[kind]]))
    assert not mark.exists()
    assert facts.steps == ()
    assert len(facts.skipped) == 1
