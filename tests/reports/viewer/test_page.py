"""The page is whole, the same twice, says what page 1 says, and lets nothing run but its own program."""

import base64
import gzip
import hashlib
import html.parser
import json
import re
from importlib.resources import files

import numpy as np
import pytest

from pipeline.errors import OutputError
from pipeline.findings.custody.ledger import Ledger, read_ledger
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.pictures.volumes import load_volume
from reports.cover.first_answers import first_answers, verdict_rows
from reports.viewer import assets, build
from reports.viewer.assets import LIBRARY_SHA256, library, program, style
from reports.viewer.build import ledger_head, open_context, payload_of, served_page, write_page
from reports.viewer.page import policy
from tests.reports import example
from tests.reports.test_fuzz import STRINGS
from tests.reports.viewer.example_run import CT, DX, HIDDEN, digest, write_viewed_run


class Elements(html.parser.HTMLParser):
    """The page's elements with their attributes and text, as a browser's parser cuts them."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.is_open = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])
        self.is_open = True

    def handle_endtag(self, tag):  # noqa: ARG002 - as the parser calls it
        self.is_open = False

    def handle_data(self, data):
        if self.is_open:
            self.elements[-1][2] += data

    def of(self, tag):
        return [element for element in self.elements if element[0] == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_viewed_run(tmp_path_factory.mktemp("viewed") / "run")


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    path = write_page(run, tmp_path_factory.mktemp("page") / "report.html").page
    return Elements(path.read_text(encoding="utf-8"))


def data_of(page):
    return next(json.loads(text) for _, attributes, text in page.of("script") if attributes.get("id") == "data")


def policy_of(page):
    return next(attributes["content"] for _, attributes, _ in page.of("meta") if "http-equiv" in attributes)


def unpacked(block):
    content = gzip.decompress(base64.b64decode(block))
    length = int.from_bytes(content[:4], "little")
    return json.loads(content[4 : 4 + length]), content[4 + length :]


def test_the_page_says_what_page_1_says(run, page):
    results, data = open_context(run).results, data_of(page)
    assert [row["answer"] for row in data["verdicts"]] == [verdict.answer for verdict in results.verdicts]
    assert data["verdicts"] == [row._asdict() for row in verdict_rows(results)]
    assert data["answers"] == [answer._asdict() for answer in first_answers(results)]
    assert data["ledgerHead"] == read_ledger(run / "ledger.jsonl")[-1].hash
    assert data["writesTo"] is None


def test_nothing_runs_but_the_page_s_own_program(page):
    stated = policy_of(page)
    assert stated == policy(served=False)
    assert stated.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in stated
    running = [text for _, attributes, text in page.of("script") if "type" not in attributes]
    assert running == [program(served=False)]
    for kind, source in (("script", program(served=False)), ("style", style())):
        sha256 = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{sha256}'" in stated
    named = {name for _, attributes, _ in page.elements for name in attributes}
    assert not any(name.startswith("on") or name in ("src", "href", "style") for name in named)


def test_a_file_runs_no_library_and_a_served_page_that_of_its_release_alone():
    named = base64.b64encode(bytes.fromhex(LIBRARY_SHA256)).decode()
    assert hashlib.sha256(library()).hexdigest() == LIBRARY_SHA256
    assert f"'sha256-{named}'" in policy(served=True)
    assert "trusted-types camaudit-library;" in policy(served=True)
    assert "trusted-types 'none';" in policy(served=False)
    for absent in (named, "connect-src", "img-src"):
        assert absent not in policy(served=False)
    for served in (True, False):
        assert not re.search("unsafe|blob:|https?:|'self'[^;]*script", policy(served=served))
    licences = files("reports.viewer").joinpath("vendored", "LICENSES.txt").read_text()
    assert LIBRARY_SHA256 in licences
    assert "Copyright (c) 2021, Niivue" in licences


def test_a_changed_library_is_refused(monkeypatch):
    monkeypatch.setattr(assets, "LIBRARY_SHA256", "00" * 32)
    with pytest.raises(OutputError, match="is not the file of this release") as caught:
        library()
    assert "\n" not in str(caught.value)


def test_the_program_reads_no_string_as_markup():
    whole = program(served=True)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|DOMParser", whole)
    assert not re.search(r"https?://", whole)
    assert "localStorage" not in whole
    assert "createPolicy" not in program(served=False)


def test_the_same_run_gives_the_same_page_whatever_is_rendered_meanwhile(tmp_path, run):
    first = digest(write_page(run, tmp_path / "one.html").page)
    Ledger(run / "ledger.jsonl", load_site_key()).append("report.rendered")
    assert digest(write_page(run, tmp_path / "two.html").page) == first
    assert ledger_head(run) == read_ledger(run / "ledger.jsonl")[-2].hash


def test_a_volume_comes_whole_and_exact(run, page):
    facts = {case["study"]: case for case in data_of(page)["cases"]}
    block = next(text for _, attributes, text in page.of("script") if attributes.get("id") == facts[CT]["block"])
    header, arrays = unpacked(block)
    scene, kept = header["scenes"][0], load_volume(run / f"cases/{CT}.volume.npz")
    reference = scene["image"]["values"]
    values = np.frombuffer(arrays, "<i2", reference["length"], reference["at"]).reshape(scene["image"]["shape"])
    assert np.array_equal(values, kept.image.values)
    bits = scene["masks"]["B"]
    mask = np.unpackbits(np.frombuffer(arrays, np.uint8, bits["length"], bits["at"]), count=kept.masks["B"].size)
    assert np.array_equal(mask.reshape(kept.shape), kept.masks["B"])
    assert header["picture"]["maps"][0]["curve"]["region"] == list(kept.maps["gradcam"].region)
    assert [plane["name"] for plane in scene["planes"]] == ["axial", "coronal", "sagittal"]


def test_without_volumes_the_kept_planes_are_shown_with_the_record_s_counts(tmp_path):
    run = write_viewed_run(tmp_path / "run", volumes="none")
    context = open_context(run)
    content = payload_of(context, 0)
    length = int.from_bytes(content[:4], "little")
    header = json.loads(content[4 : 4 + length])
    recorded = context.results.cases[0].audit.map_scores[0].counts
    curve = header["picture"]["maps"][0]["curve"]
    assert header["picture"]["kind"] == "planes"
    assert (curve["region"], curve["readers"]["A"]["common"]) == (list(recorded.region), list(recorded.common))
    assert {scene["planes"][0]["name"] for scene in header["scenes"]} == {"axial", "coronal", "sagittal"}
    image = next(scene["image"] for scene in header["scenes"])
    reference = image["values"]
    values = np.frombuffer(content[4 + length :], "<i2", reference["length"], reference["at"])
    view = context.panels(f"cases/{CT}.npz").views[0]
    assert np.array_equal(image["offset"] + image["scale"] * values, view.image.ravel())


def test_a_withheld_case_has_no_picture_here_either(run, page):
    hidden = data_of(page)["cases"][2]
    assert (hidden["study"], "block" in hidden, "url" in hidden) == (HIDDEN, False, False)
    assert "withheld" in hidden["why"]
    assert payload_of(open_context(run), 2) is None


def test_a_case_whose_file_is_gone_says_so(tmp_path):
    run = write_viewed_run(tmp_path / "run")
    (run / f"cases/{DX}.volume.npz").unlink()
    data = data_of(Elements(write_page(run, tmp_path / "report.html").page.read_text()))
    assert "missing" in data["cases"][1]["why"]
    assert payload_of(open_context(run), 1) is None


def test_a_case_leads_to_no_other_file(tmp_path):
    run = write_viewed_run(tmp_path / "run")
    other = tmp_path / "elsewhere.npz"
    (run / f"cases/{CT}.volume.npz").rename(other)
    text = (run / "results.json").read_text().replace(f"cases/{CT}.volume.npz", "../elsewhere.npz")
    (run / "results.json").write_text(text)
    assert payload_of(open_context(run), 0) is None


def test_a_served_page_holds_no_pictures_and_says_where_to_write(run):
    page = Elements(served_page(open_context(run)).decode())
    data = data_of(page)
    assert [case.get("url") for case in data["cases"]] == ["case/0", "case/1", None]
    assert data["writesTo"] == "review"
    assert "connect-src 'self'" in policy_of(page)
    assert policy_of(page) == policy(served=True)
    assert payload_of(open_context(run), -1) is None


def case_scores(run):
    return open_context(run).results.cases[0].audit.map_scores


def test_the_cohort_s_rows_are_those_of_the_table(run, page):
    cohort = data_of(page)["cohort"]
    assert cohort["groups"] == ["site"]
    rows = {row["study"]: row for row in cohort["rows"]}
    assert (rows[CT]["groups"], rows[CT]["answer"], rows[CT]["cell"]) == (["Nord"], "right", "nodule called nodule")
    assert rows[HIDDEN]["answer"] == "wrong"
    shown = {score.value for entry in case_scores(run) for score in entry.scores if score.name == "hit_rate"}
    assert rows[CT]["score"] == min(shown)


HOSTILE = [text for name, text in STRINGS.items() if name != "surrogate"]  # of which JSON is never made


@pytest.mark.parametrize("text", [*HOSTILE, "</script><img src=x onerror=alert(1)>", "<!--<script>"])
def test_no_string_ends_its_element(tmp_path, text):
    run = write_viewed_run(tmp_path / "run", volumes="none")
    hostile = example.results(title=text, organisation=text, case_rule=text)
    cases = open_context(run).results.cases
    content = hostile.model_copy(update={"cases": cases}).model_dump_json().encode("utf-8", "replace")
    (run / "results.json").write_bytes(content)
    page = Elements(write_page(run, tmp_path / "report.html").page.read_text(encoding="utf-8"))
    shown = open_context(run).results
    assert dict(data_of(page)["identity"])["Organisation"] == shown.organisation
    assert data_of(page)["title"] == shown.title
    assert [tag for tag, _, _ in page.elements].count("script") == 4
    assert page.of("img") == []
    assert not re.search("[<>&]", next(text for _, own, text in page.of("script") if own.get("id") == "data"))


def test_an_altered_run_says_so_first(tmp_path, run):
    page = Elements(write_page(run, tmp_path / "report.html", ["a file was altered"]).page.read_text())
    assert data_of(page)["altered"] == ["a file was altered"]


@pytest.fixture
def whole(tmp_path, run, monkeypatch):
    """The page of a run whose CT is more than a crop may have."""
    monkeypatch.setattr(build, "CROP_VOXELS", 20 * 24 * 12 - 1)
    return write_page(run, tmp_path / "report.html")


def test_a_whole_volume_is_a_file_beside_the_page_which_holds_its_planes(whole, tmp_path):
    ct, dx, hidden = data_of(Elements(whole.page.read_text()))["cases"]
    assert whole.cases == (tmp_path / "report-cases" / f"{CT}.case",)
    content = whole.cases[0].read_bytes()
    assert ct["file"] == {
        "folder": "report-cases", "name": f"{CT}.case", "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    assert unpacked(base64.b64encode(content))[0]["picture"]["kind"] == "volume"
    block = next(own for own in Elements(whole.page.read_text()).of("script") if own[1].get("id") == ct["block"])
    assert unpacked(block[2])[0]["picture"]["kind"] == "planes"
    assert "file" not in dx, "a picture that a crop may have lies in the page"
    assert "file" not in hidden
    assert "block" not in hidden, "what is withheld is so in the folder, too"


def test_the_same_run_gives_the_same_files(whole, run, tmp_path):
    again = write_page(run, tmp_path / "again.html")
    assert again.cases[0].read_bytes() == whole.cases[0].read_bytes()
    assert sorted(path.name for path in tmp_path.rglob("*.case")) == [f"{CT}.case"] * 2


def test_a_forged_name_leads_to_no_file_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "CROP_VOXELS", 1)
    run = write_viewed_run(tmp_path / "run")
    outside = tmp_path / "outside.volume.npz"
    outside.write_bytes((run / f"cases/{CT}.volume.npz").read_bytes())
    fields = json.loads((run / "results.json").read_bytes())
    fields["cases"][0] |= {"study": "../../outside", "volume": "cases/../../outside.volume.npz"}
    (run / "results.json").write_text(json.dumps(fields))
    written = write_page(run, tmp_path / "report.html")
    assert [path.name for path in written.cases] == [f"{DX}.case"]
    assert "missing" in data_of(Elements(written.page.read_text()))["cases"][0]["why"]
    assert sorted(tmp_path.rglob("*.case")) == list(written.cases)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(OutputError, match="finished run"):
        write_page(tmp_path, tmp_path / "report.html")
    with pytest.raises(OutputError, match="is not a folder"):
        write_page(tmp_path, tmp_path / "none" / "report.html")
