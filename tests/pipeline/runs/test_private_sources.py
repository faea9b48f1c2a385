"""Where studies lie is read study by study from the private file, and from no other file than the one that was."""

import json

import pytest

from pipeline.errors import OutputError
from pipeline.findings.spec import SOURCES_FILE
from pipeline.runs.private_sources import read_sources, write_sources
from pipeline.studies.listing.study_row import MaskSource, StudyRow
from pipeline.walk.sources import StudySource


def source(folder, number):
    mask = MaskSource("anna", "lesion", folder / f"mü{number}.nii", value=number, key="k")
    row = StudyRow(f"study {number}", "Frau Ö", folder / f"{number}.nii", (mask,), ("lesion",), {"site": "a"}, folder)
    return StudySource(row, f"S-{number}", "P-1", f"{number:064}", "f" * 64)


def written(tmp_path, count=30):
    sources = [source(tmp_path, number) for number in range(count)]
    write_sources(tmp_path, tmp_path / 'a "studies": [.yaml', sources)
    return sources


def test_studies_are_read_again_in_any_order(tmp_path):
    sources = written(tmp_path)
    private = read_sources(tmp_path)
    assert private.configuration == tmp_path / 'a "studies": [.yaml'
    assert [private.studies[source.study] for source in reversed(sources)] == sources[::-1]
    assert list(private.studies.values()) == sources
    assert (len(private.studies), list(private.studies)) == (30, [source.study for source in sources])
    assert "S-30" not in private.studies
    with pytest.raises(KeyError):
        private.studies["S-30"]


@pytest.mark.parametrize("how", ["removed", "replaced", "written to"])
def test_another_file_is_not_read(tmp_path, how):
    written(tmp_path)
    private, path = read_sources(tmp_path), tmp_path / SOURCES_FILE
    if how == "removed":
        path.unlink()
    elif how == "replaced":
        written(tmp_path)
    else:
        with path.open("a") as file:
            file.write(" ")
    with pytest.raises(OutputError, match="where the studies lie is not known"):
        private.studies["S-3"]


@pytest.mark.parametrize("content", ["", "{", '{"configuration": "a"}', '{"configuration": "a",\n"studies": [{}]}'])
def test_a_damaged_file_is_refused(tmp_path, content):
    written(tmp_path, 1)
    (tmp_path / SOURCES_FILE).write_text(content)
    with pytest.raises(OutputError, match="is damaged"):
        read_sources(tmp_path)


def test_the_file_is_json(tmp_path):
    written(tmp_path, 2)
    assert len(json.loads((tmp_path / SOURCES_FILE).read_text())["studies"]) == 2
