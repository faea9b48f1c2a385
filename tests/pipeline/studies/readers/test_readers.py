"""A reader declares its format once, and whoever asks for endings or first bytes asks the ordered list."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.files import written
from pipeline.studies.index.catalogue import open_catalogue
from pipeline.studies.index.headers import Kind
from pipeline.studies.index.scan import scan, summary
from pipeline.studies.list_studies import list_studies
from pipeline.studies.listing.write_manifest import write_manifest
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import read_study
from pipeline.studies.readers import BUILT_IN, IMAGE_READERS, MASK_READERS, Readers
from pipeline.studies.untrusted.workers import DECODING, isolated_map
from tests.pipeline.studies.readers import toy_reader

ROOT = Path(__file__).resolve().parents[4]
NAMES = Pseudonyms(b"k" * 32)
WITH_TOY = Readers((*IMAGE_READERS, toy_reader), (*MASK_READERS, toy_reader))
ALL = tuple(dict.fromkeys((*IMAGE_READERS, *MASK_READERS)))


def test_each_ending_is_declared_once():
    endings = [ending for facts in BUILT_IN.facts for ending in (*facts.endings, *facts.mask_endings)]
    assert len(endings) == len(set(endings))
    assert set(endings) == {
        *(".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".png", ".jpg", ".jpeg", ".dcm", ".dicom", ".ima"),
        *(".csv", ".json", ".xml", ".txt", ".mha", ".mhd", ".mgz", ".mgh", ".tif", ".tiff", ".hdr", ".hdr.gz"),
    }
    assert all(ending == ending.lower() for ending in endings)


def test_nobody_but_a_reader_knows_an_ending():
    """Docstrings may tell of them; ``.dcm`` is also how the folder of fetched files names its own."""
    endings = "|".join(re.escape(ending) for facts in BUILT_IN.facts for ending in facts.endings if ending != ".json")
    said = re.compile(rf"""["'(|](?:\\.|\.)?(?:{endings})["')|]""".replace(r"\.", r"\\?\."))
    own = {Path(reader.__file__) for reader in ALL} | {ROOT / "pipeline/studies/dicomweb/client.py"}
    for path in (ROOT / "pipeline" / "studies").rglob("*.py"):
        code = re.sub(r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert path in own or not said.search(code), path


@pytest.mark.parametrize("reader", ALL, ids=lambda reader: reader.__name__.split(".")[-1])
def test_a_reader_is_what_it_declares(reader):
    facts = reader.FACTS
    assert hasattr(reader, "read") == (facts.reads != "mask")
    assert hasattr(reader, "read_mask") == (facts.reads != "image")
    assert (reader in IMAGE_READERS, reader in MASK_READERS) == (hasattr(reader, "read"), hasattr(reader, "read_mask"))
    if facts.reads != "mask":
        assert facts.kind in set(Kind)


def test_readers_travel_by_name():
    assert pickle.loads(pickle.dumps(WITH_TOY)) == WITH_TOY


@pytest.fixture
def archive(tmp_path):
    root = tmp_path / "archive"
    root.mkdir()
    array = np.zeros((4, 5, 6))
    array[1, 2, 3] = 1
    toy_reader.write(root / "a.toy", array * 9)
    toy_reader.write(root / "a_mask.toy", array)
    (root / "b.toy").write_bytes(b"TOYTOY01" + bytes((4, 5, 6)))
    return root


def _read(row):
    return read_study(row, NAMES, readers=WITH_TOY)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_new_reader_is_discovered_and_read(archive, workers):
    assert [row.study for row in list_studies(archive, None, "x", WITH_TOY)] == ["a", "b"]
    with pytest.raises(Exception, match="holds no studies"):
        list_studies(archive, None, "x")
    study, fault = isolated_map(_read, list_studies(archive, None, "x", WITH_TOY), workers=workers, limits=DECODING)
    assert np.argwhere(study.masks[0].array).tolist() == [[1, 2, 3]] == np.argwhere(study.image.array).tolist()
    assert fault.reason == "truncated"


@pytest.mark.parametrize("workers", [0, 1])
def test_a_new_reader_is_found_by_a_scan(archive, tmp_path, workers):
    with open_catalogue(tmp_path / "index.sqlite", archive) as catalogue:
        scan(archive, catalogue, workers=workers, on_files=lambda _: None, readers=WITH_TOY)
        numbers = summary(archive, catalogue, WITH_TOY)
        write_manifest(archive, catalogue, tmp_path / "m.csv", NAMES, written)
    assert (numbers.usable, numbers.masks_used, numbers.excluded) == (1, 1, {"truncated": 1})
    assert [modality.name for modality in numbers.modalities] == ["TOY"]
    (row,) = list_studies(archive, tmp_path / "m.csv")
    assert len(read_study(row, NAMES, readers=WITH_TOY).mask_faults) == 1  # without a label, as any other format
    with open_catalogue(tmp_path / "other.sqlite", archive) as catalogue:
        scan(archive, catalogue, workers=0, on_files=lambda _: None)
        assert summary(archive, catalogue).usable == 0
