"""The report as a file: the same bytes each time, complete, embedded, honest, or absent."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pikepdf
import pytest

import reports
from pipeline.errors import OutputError
from pipeline.findings.facts import LayerFacts
from pipeline.findings.pictures.panels import CasePanels, save_panels
from pipeline.findings.plotted.differences import GroupDifference
from pipeline.findings.results import SCHEMA_VERSION, Flow, WrongAnswer
from pipeline.findings.study_audit import StudyAudit
from reports.pdf import render
from reports.registry import sections
from tests.reports import example
from tests.reports.page.test_text import NASTY

KINDS_OF_PAGE = {
    "the first": "Sign-off",
    "the whole width": "Baselines and chance: grey",
    "a case": "Case 1: ",
    "two columns": "Hashes (SHA-256)",
    "a long list": "X0059",
}
REASONS = ("criteria were locked after the first inference", "the cohort has no lock")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = example.write_run(tmp_path_factory.mktemp("run"))
    render(folder)
    return folder


def tool(name):
    if shutil.which(name) is None:
        pytest.skip(f"{name} (poppler-utils) is not installed")
    return name


def text_of(path, *options):
    made = subprocess.run([tool("pdftotext"), "-layout", *options, path, "-"], capture_output=True, check=True)
    return made.stdout.decode()


def test_two_renderings_are_the_same_bytes(run, tmp_path):
    assert render(run, tmp_path / "again.pdf").read_bytes() == (run / "report.pdf").read_bytes()


@pytest.mark.parametrize("seed", ["0", "4242"])
def test_other_processes_give_the_same_bytes(run, tmp_path, seed):
    target = tmp_path / "other.pdf"
    words = (
        "import sys; from pathlib import Path; from reports.pdf import render; "
        f"render(Path({str(run)!r}), Path({str(target)!r})); "
        "assert not {'torch', 'monai', 'prefect', 'matplotlib.pyplot'} & set(sys.modules), 'too much was imported'"
    )
    root = Path(reports.__file__).parents[1]
    env = {
        **os.environ,
        "PYTHONHASHSEED": seed,
        "PYTHONPATH": str(root),
        "SOURCE_DATE_EPOCH": f"{1 + int(seed)}",
    }
    subprocess.run([sys.executable, "-c", words], check=True, env=env, cwd=tmp_path)
    assert target.read_bytes() == (run / "report.pdf").read_bytes()


def test_every_font_is_embedded(run):
    with pikepdf.open(run / "report.pdf") as pdf:
        fonts = [one for one in pdf.objects if isinstance(one, pikepdf.Dictionary) and one.get("/Type") == "/Font"]
        assert len(fonts) >= 2
        for font in fonts:
            assert "/FontFile2" in font.FontDescriptor, font.BaseFont
            assert "DejaVuSans" in str(font.BaseFont)
            assert "/ToUnicode" in font


def test_poppler_sees_embedded_fonts_only(run):
    listed = subprocess.run([tool("pdffonts"), run / "report.pdf"], capture_output=True, check=True, text=True)
    rows = listed.stdout.splitlines()[2:]
    assert rows
    assert all(re.search(r" yes yes yes ", row) for row in rows)


def test_attachments_are_the_files(run):
    with pikepdf.open(run / "report.pdf") as pdf:
        names = ["results.json", "per_study.csv", "run.json"]
        assert sorted(pdf.attachments) == sorted(names)
        assert len(pdf.Root.AF) == 3
        for name, kind in zip(names, ("/Source", "/Data", "/Supplement"), strict=True):
            held = pdf.attachments[name]
            file = held.get_file()
            content = (run / name).read_bytes()
            assert file.read_bytes() == content
            assert file.size == len(content)
            assert len(file.md5) == 16
            assert held.relationship == kind
        assert pdf.attachments["results.json"].get_file().mime_type == "application/json"


def test_metadata_come_from_the_run(run):
    with pikepdf.open(run / "report.pdf") as pdf:
        assert "/Info" not in pdf.trailer
        with pdf.open_metadata() as metadata:
            assert metadata["dc:title"] == "Saliency audit of NoduleNet 2.1 on chest CT"
            assert metadata["xmp:CreateDate"].startswith("2026-11-21T14:05:00")
        assert pdf.Root.Lang == "en"
        assert pdf.Root.OutputIntents[0].S == "/GTS_PDFA1"
        assert not [one for page in pdf.pages for one in page.get("/Annots", []) if one.F != 4]


def test_the_contents_link_and_the_bookmarks_name_each_section(run):
    with pikepdf.open(run / "report.pdf") as pdf:
        with pdf.open_outline() as outline:
            titles = [entry.title for entry in outline.root]
            cases = [
                entry.title for part in outline.root if part.title.endswith("Case pages") for entry in part.children
            ]
        links = [one for one in pdf.pages[0].Annots if one.Subtype == "/Link"]
        assert titles[0] == "1 Summary"
        assert len(titles) == len(sections()) - 8, (
            "the cover, maps that were not moved, no other run, no decision, four experiments"
        )
        assert cases == [f"Case {number}: {case}" for number, case in enumerate(
            ("S0007", "S0012", "S0020", "S0031", "S0044"), 1
        )]  # fmt: skip
        assert len(links) >= len(titles)


def test_every_number_of_the_results_is_printed(run):
    found = example.results()
    text = text_of(run / "report.pdf")

    def printed(value, digits):
        return f"{value:.{digits}f}" in text

    shown = [
        one for one in found.estimates if one.among == "reference_positive" or one.method not in example.BASELINES
    ]  # of other strata the baselines stand in results.json
    for one in (*shown, *found.classification, *(pair.estimate for pair in found.agreements)):
        digits = 1 if one.metric == "distance_mm" else 2
        for value in (one.value, one.low, one.high, one.chance):
            assert value is None or printed(value, digits), (one.metric, one.method, value)
        assert all(f"({', '.join(sorted(one.undefined))}" for _ in one.undefined)
    for verdict in found.verdicts:
        assert verdict.answer in text
        assert verdict.rule.replace("_", " ") in text
        for value in (verdict.estimate.value, verdict.estimate.low, verdict.estimate.high):
            assert value is None or printed(value, 3), (verdict.criterion, value)
    for audit in found.not_analysed:
        assert audit.study in text


def test_each_verdict_stands_in_its_row(run):
    cover = text_of(run / "report.pdf", "-f", "1", "-l", "1")
    rows = iter(cover.splitlines())
    for verdict in example.verdicts():  # in their order, each rule on the line of its answer
        row = next(line for line in rows if f" {verdict.rule.replace('_', ' ')} " in line)
        assert re.search(rf"\s\S {verdict.answer}$", row.rstrip())
    assert "LOCKED 2026-11-20 09:00 UTC" in cover


def test_pages_are_numbered_and_carry_the_run(run):
    pages = text_of(run / "report.pdf").split("\f")[:-1]
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page
        assert "20261121-140500-3f9a" in page
        assert "Results SHA-256" in page
        assert "EXPLORATORY" not in page


def test_exploratory_is_stamped_on_every_page(tmp_path):
    found = example.results(exploratory=REASONS, missing=60, cases=example.results().cases[:1])
    pages = text_of(render(example.write_run(tmp_path, found))).split("\f")[:-1]
    kinds = {kind for kind, words in KINDS_OF_PAGE.items() if any(words in page for page in pages)}
    assert kinds == set(KINDS_OF_PAGE), "a report without one of them proves nothing of its pages"
    assert all("EXPLORATORY" in page for page in pages)
    assert all(reason in pages[0] for reason in REASONS)
    assert "LOCKED 20" not in pages[0]
    every = "".join(pages)
    assert all(f"X{number:04d}" in every for number in range(60))


def test_a_case_says_why_there_is_no_picture(run, tmp_path):
    assert "cases/S0044.npz is missing" in text_of(run / "report.pdf")
    entry = example.results().cases[0].model_copy(update={"panels": None})
    outside = entry.model_copy(update={"panels": "../secret.npz"})
    save_panels(example.panels("S0007", example.view()), tmp_path / "secret.npz")
    text = text_of(render(example.write_run(tmp_path / "run", example.results(cases=(entry, outside)))))
    assert "The run's folder holds no pictures of this case." in text
    assert "../secret.npz is missing" in text


def test_words_stay_inside_the_page(tmp_path):
    found = nasty("W" * 300 + " " + "i" * 1500)
    render(example.write_run(tmp_path, found))
    made = subprocess.run([tool("pdftotext"), "-bbox", tmp_path / "report.pdf", "-"], capture_output=True, check=True)
    edges = [
        [float(edge) for edge in match]
        for match in re.findall(r'xMin="(\S+)" yMin="(\S+)" xMax="(\S+)" yMax="(\S+)"', made.stdout.decode())
    ]
    assert len(edges) > 1000
    assert min(edge[0] for edge in edges) > 42
    assert max(edge[2] for edge in edges) < 595.3 - 42
    assert min(edge[1] for edge in edges) > 20
    assert max(edge[3] for edge in edges) < 842 - 19


def nasty(value):
    """Return results whose every free text is one string."""
    text = str(value).encode("utf-8", "replace").decode()
    base = example.results()
    case = base.cases[0]
    facts = {"study": text, "reference": (text,), "predicted": (text, "b"), "strata": {"site": text}}
    audit = case.audit.model_copy(update=facts)
    shown = case.model_copy(update={"study": text, "rule": text, "note": text, "audit": audit})
    apart = GroupDifference(metric="auroc", method="classifier", among="all", column="site", group=f"site={text}",
                            own=0.8, rest=0.9, value=-0.1, confidence=0.95, patients=9, patients_rest=9,
                            reason=text)  # fmt: skip
    return example.results(
        wrong_answers=(WrongAnswer(reference=(text,), answered=(text,), patients=1, studies=(text,)),),
        answer_differences=(apart,),
        title=text,
        organisation=text,
        run=text,
        intended_use=text,
        preparation=(text, text),
        case_rule=text,
        overlap_rule=text,
        cohort_facts={text: {text: 3}},
        cases=(shown,),
        not_analysed=(StudyAudit(study=text, patient=text, source_sha256=text, status="failed", stage=text,
                                 reason=text, message=text),),
        flow=Flow(found=45, analysed=44, excluded={}, failed={text: 1}, patients=1, computed=45, reused=0),
        model=base.model.model_copy(update={"name": text, "labels": (text, "b"), "layers": (
            LayerFacts(name=text, requested=text, shape=(8, 8), cell_mm=()),)}),
        methods=(base.methods[0].model_copy(update={"title": text, "formula": text, "limits": text}),),
        verdicts=tuple(one.model_copy(update={"criterion": text, "reason": text}) for one in base.verdicts),
        provenance=base.provenance.model_copy(update={"libraries": {text: text}, "command": text}),
    )  # fmt: skip


def test_nasty_strings_reach_the_page_as_text(tmp_path):
    value = "".join(str(one) for one in NASTY if len(str(one)) < 100)
    render(example.write_run(tmp_path, nasty(value)))
    text = "".join(text_of(tmp_path / "report.pdf").split())
    assert '<imgsrc="/etc/passwd">' in text
    assert "U+80BA" in text
    assert "root:" not in text


def test_an_empty_run_says_so(tmp_path):
    nothing = example.results(
        classification=(), estimates=(), agreements=(), verdicts=(), cases=(), missing=0, cohort_facts={},
        preparation=(), methods=(), metrics=(), equivalent_methods=(),
        model=example.results().model.model_copy(update={"layers": ()}),
    )  # fmt: skip
    text = " ".join(text_of(render(example.write_run(tmp_path, nothing))).split())
    for sentence in (
        "No acceptance criterion was stated", "No layer was explained", "nothing is known of sites",
        "list no preparation step", "No map was computed", "describe no metric", "performance could not be estimated",
        "No overlap could be estimated", "No subgroup was estimated", "agreement between experts",
        "No case is shown", " excluded + ",
    ):  # fmt: skip
        assert sentence in text


def test_a_case_without_views_or_maps_is_drawn(tmp_path):
    found = example.results(cases=example.results().cases[:2])
    folder = example.write_run(tmp_path, found)
    bare = example.view()
    bare = type(bare)(**{**vars(bare), "maps": {}, "masks": {}})
    save_panels(CasePanels("S0007", "n", "HU", (0, 1), {}, {}, (bare,)), folder / "cases" / "S0007.npz")
    save_panels(CasePanels("S0012", "n", "HU", (0, 1), {}, {}, ()), folder / "cases" / "S0012.npz")
    text = text_of(render(folder))
    assert "There is no expert's mask." in " ".join(text.split())
    assert "holds no view" in text


def test_errors_are_one_clear_line(tmp_path, run):
    with pytest.raises(OutputError, match="there is no such folder"):
        render(tmp_path / "nowhere")
    with pytest.raises(OutputError, match=r"results\.json: cannot be read"):
        render(tmp_path)
    (tmp_path / "results.json").write_text('{"schema_version": 99}')
    with pytest.raises(
        OutputError, match=f"is of schema 99, and this version of camaudit reads schema {SCHEMA_VERSION}"
    ):
        render(tmp_path)
    folder = example.write_run(tmp_path / "half")
    (folder / "per_study.csv").unlink()
    with pytest.raises(OutputError, match=r"per_study\.csv: cannot be read \(No such file or directory\)"):
        render(folder)
    with pytest.raises(OutputError, match=r"report\.pdf: cannot be written: .*missing is not a folder"):
        render(run, tmp_path / "missing" / "report.pdf")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_report_and_no_half_file(tmp_path, run, monkeypatch, call):
    target = tmp_path / "report.pdf"
    target.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), full)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\)"):
        render(run, target)
    assert [one.name for one in tmp_path.iterdir()] == ["report.pdf"]
    assert target.read_bytes() == b"old"


def test_only_the_layout_makes_paragraphs():
    root = Path(reports.__file__).parent
    makers = {
        path.name
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Paragraph", "Preformatted", "XPreformatted")
    }
    assert makers == {"layout.py"}
