"""Readers of other packages: found by their entry points, held to what they declare, and used where files are read."""

import shutil
import sys
import types
from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from camaudit.testing.readers import check_reader
from pipeline.errors import ConfigError
from pipeline.studies.list_studies import list_studies
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import read_study
from pipeline.studies.readers import BUILT_IN
from pipeline.studies.readers.images import nifti, picture
from pipeline.studies.readers.third_parties import GROUP, installed_readers, load_readers
from pipeline.studies.untrusted.workers import DECODING, isolated_map
from tests.pipeline.studies.readers import toy_reader

NAMES = Pseudonyms(b"k" * 32)
ENTRY = EntryPoint("toy", "tests.pipeline.studies.readers.toy_reader", GROUP)


def installed(folder, value="third_party_toy", content=None):
    """Put a package with the toy reader where Python finds it."""
    folder.mkdir()
    if content is None:
        shutil.copy(toy_reader.__file__, folder / "third_party_toy.py")
    else:
        (folder / "third_party_toy.py").write_text(content)
    about = folder / "third_party_toy-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party-toy\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{GROUP}]\ntoy = {value}\n")


@pytest.fixture
def forgotten():
    yield
    sys.modules.pop("third_party_toy", None)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_installed_reader_is_found_and_read_in_its_process(tmp_path, workers, monkeypatch, forgotten):
    installed(tmp_path / "site")
    assert not load_readers().masks[len(BUILT_IN.masks) :]
    monkeypatch.syspath_prepend(tmp_path / "site")
    readers = load_readers()
    assert [reader.__name__ for reader in readers.images[len(BUILT_IN.images) :]] == ["third_party_toy"]
    (tmp_path / "archive").mkdir()
    for name in ("a.toy", "a_mask.toy"):
        shutil.copy(toy_reader.examples(tmp_path)[0], tmp_path / "archive" / name)
    rows = list_studies(tmp_path / "archive", None, "x", readers)
    read = partial(read_study, pseudonyms=NAMES, readers=readers)
    (study,) = isolated_map(read, rows, workers=workers, limits=DECODING)
    assert np.argwhere(study.masks[0].array).tolist() == [[1, 2, 3]]


def test_a_package_that_lies_among_the_files_is_not_used(tmp_path, monkeypatch, forgotten):
    installed(tmp_path / "archive")
    monkeypatch.chdir(tmp_path / "archive")
    monkeypatch.setattr(sys, "path", ["", str(tmp_path / "archive"), *sys.path])
    assert not [entry for entry in installed_readers() if entry.name == "toy"]


@pytest.mark.parametrize(
    ("value", "content", "why"),
    [
        ("third_party_toy", "raise RuntimeError('SECRET')", "its import raised RuntimeError"),
        ("third_party_other", "", "its import raised ModuleNotFoundError"),
        ("third_party_toy", "", "no module with FACTS"),
        ("third_party_toy:FACTS", "FACTS = 1", "no module with FACTS"),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_the_reason(tmp_path, value, content, why, monkeypatch, forgotten):
    installed(tmp_path / "site", value, content)
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(ConfigError, match=f"the reader 'toy' .* is not used: .*{why}") as caught:
        load_readers()
    assert "SECRET" not in str(caught.value)


WRONG = [
    ({"endings": (".NII",)}, "not lower case"),
    ({"endings": ("toy",)}, "not lower case"),
    ({"endings": (".nii.gz",)}, "is another reader's"),
    ({"mask_endings": (".png",)}, "is another reader's"),
    ({"kind": "nifti"}, "the kind 'nifti' is taken"),
    ({"kind": "dicom object"}, "is taken"),
    ({"kind": "Robert'); DROP"}, "is taken, or is not words"),
    ({"covers_many": True}, "not covers_many"),
    ({"header_endings": (".toy",)}, "header_endings is not empty"),
    ({"told_by_name": False}, "must say told_by_name"),
    ({"magic": ()}, "FACTS.magic is empty"),
    ({"magic": ((0, b"TO"),)}, "4 or more"),
    ({"magic": ((70000, b"TOYTOY"),)}, "in the first 512"),
    ({"magic": ((344, b"n+1\0more"),)}, "are another reader's"),
    ({"magic": ((128, b"DICM"),)}, "are another reader's"),
    ({"reads": "image"}, "is not what its functions"),
]


def altered(facts=(), **functions):
    module = types.ModuleType("altered")
    for name in ("accepts", "check_header", "read", "read_mask"):
        setattr(module, name, functions.get(name, getattr(toy_reader, name)))
    module.FACTS = replace(toy_reader.FACTS, **dict(facts))
    return module


@pytest.mark.parametrize(("changes", "why"), WRONG, ids=[str(changes) for changes, _ in WRONG])
def test_a_declaration_that_would_take_anothers_files_is_refused(changes, why, monkeypatch):
    monkeypatch.setitem(sys.modules, "altered", altered(changes))
    with pytest.raises(ConfigError, match=why):
        load_readers([EntryPoint("altered", "altered", GROUP)])


def test_two_readers_of_one_format_are_refused():
    with pytest.raises(ConfigError, match="is another reader's"):
        load_readers([ENTRY, ENTRY])


def test_sound_readers_pass_the_generic_checks(tmp_path):
    check_reader(toy_reader, toy_reader.examples(tmp_path))
    values = np.arange(120, dtype=np.int16).reshape(4, 5, 6) > 100
    for name in ("a.nii", "a.nii.gz"):
        nibabel.save(nibabel.Nifti1Image(values.astype(np.int16), np.diag([1, 2, 3, 1])), tmp_path / name)
    check_reader(nifti, [tmp_path / "a.nii", tmp_path / "a.nii.gz"])
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30), dtype=np.uint8)).save(tmp_path / "a.png")
    check_reader(picture, [tmp_path / "a.png"])


def raising(path):
    return path.read_bytes()[7] == 1


def taking_all(path):
    return Path(path).is_file()


KEPT = []


def leaving_open(path, options):
    KEPT.append(path.open("rb"))
    return toy_reader.read(path, options)


def in_two_ways(path, options):
    image = toy_reader.read(path, options)
    KEPT.append(None)
    return replace(image, header={"read": str(len(KEPT))})


def patient(path, options):
    """Read what is there of a file that was cut short."""
    content = path.read_bytes()
    whole = path.with_name("whole")
    whole.write_bytes(content.ljust(11 + 120, b"\0"))
    return toy_reader.read(whole, options)


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (altered(accepts=raising), "accepts raises"),
        (altered(accepts=taking_all), "takes a file of no format"),
        (altered(accepts=lambda _: 1), "neither True nor False"),
        (altered(accepts=lambda _: False), "does not take its own example"),
        (altered(read=leaving_open), "leaves"),
        (altered(read=in_two_ways), "in two ways"),
        (altered(read=patient), "cut short"),
        (altered({"endings": (".png",)}), "another reader's"),
    ],
)
def test_a_faulty_reader_fails_the_generic_checks(module, why, tmp_path):
    with pytest.raises(AssertionError, match=why):
        check_reader(module, toy_reader.examples(tmp_path))
    for file in filter(None, KEPT):
        file.close()
    KEPT.clear()


def test_without_an_example_nothing_is_shown():
    with pytest.raises(AssertionError, match="no example"):
        check_reader(toy_reader, [])
