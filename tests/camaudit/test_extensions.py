"""Methods and sections of installed packages: in the run, the records and the PDF, or refused with the reason."""

import sys

import pytest

from cam import METHODS
from camaudit import AuditError, audit
from camaudit.testing.methods import check_method
from pipeline.errors import OutputError
from pipeline.findings.custody.ledger import read_ledger
from pipeline.program import program_digest
from reports.pdf import render
from reports.registry import sections
from tests.pipeline.planted import plant
from tests.reports.test_pdf import text_of

METHOD = """
from camaudit.methods import method

@method("{name}", title="{title}", paper="Ours 2026", formula="sum of A", limits="no gradient", signed=True)
def plain(A, G, *, power: int = 1):
    return (A**power).sum(1)
"""

SECTION = """
from camaudit.sections import Section, paragraph

def build(context):
    {body}

part = Section({order}, "{title}", build)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package of one module into a folder of its own; what it leaves in the process is taken away again."""
    before, loaded = dict(METHODS), set(sys.modules)
    folder = tmp_path / "site"

    def package(source, *entries, name="other_package"):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(source)
        record = folder / f"{name}-1.2.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.2\n")
        lines = [f"[{group}]\n{entry} = {name}:{value}\n" for group, entry, value in entries]
        (record / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(folder)
        return folder / f"{name}.py"

    yield package
    METHODS.clear()
    METHODS.update(before)
    for module in set(sys.modules) - loaded:
        if getattr(sys.modules[module], "__file__", None) and str(folder) in str(sys.modules[module].__file__):
            del sys.modules[module]


def test_a_method_of_another_package_is_in_scores_records_and_report(install, tmp_path):
    install(METHOD.format(name="plain", title="Plain sum"), ("camaudit.methods", "plain", "plain"))
    run = audit(
        plant(tmp_path / "audit", 3, explain={"methods": ["gradcam", "plain"], "options": {"plain": {"power": 2}}})
    )
    assert set(run.scores["method"].to_pylist()) >= {"gradcam", "plain"}
    facts = {facts.name: facts for facts in run.results.methods}
    assert (facts["plain"].package, facts["plain"].package_version) == ("other-package", "1.2")
    assert len(facts["plain"].source_sha256) == 64
    assert facts["gradcam"].package is None
    assert "from other-package 1.2" in " ".join(text_of(run.report, "-raw").split())  # column by column
    study = run.results.cases[0].study
    assert run.map(study, "plain").array.shape == run.map(study, "gradcam").array.shape
    check_method("plain")


def test_a_package_that_is_edited_makes_another_program(install, monkeypatch):
    alone = program_digest()
    source = install(METHOD.format(name="plain", title="Plain sum"), ("camaudit.methods", "plain", "plain"))
    with_package = program_digest()
    source.write_text(source.read_text().replace("A**power", "A**(power + 1)"))
    assert len({alone, with_package, program_digest()}) == 3


TWO = METHOD.format(name="plain", title="Plain sum")


@pytest.mark.parametrize(
    ("source", "entry", "value", "reason"),
    [
        ("import nothing_of_this_name", "plain", "plain", r"cannot be imported \(ModuleNotFoundError: "),
        ("def plain(A, G): return A.sum(1)", "plain", "plain", "it is not a function decorated with @method"),
        (TWO, "plainer", "plain", "its entry point is called otherwise than the method, 'plain'"),
        (TWO, "plain", "missing", "cannot be imported"),
        (METHOD.format(name="gradcam", title="Mine"), "gradcam", "plain", "method 'gradcam' is registered twice"),
        (METHOD.format(name="plain", title=" "), "plain", "plain", "it says nothing of its title"),
        (METHOD.format(name="Plain@layer", title="t"), "Plain@layer", "plain", "a name is made of small letters"),
        (METHOD.format(name="centre_prior", title="t"), "centre_prior", "plain", "is no baseline's"),
    ],
)
def test_a_wrong_method_is_refused_with_the_reason(install, tmp_path, source, entry, value, reason):
    install(source, ("camaudit.methods", entry, value))
    with pytest.raises(AuditError, match=reason) as caught:
        audit(plant(tmp_path / "audit", 3))
    said = str(caught.value)
    assert said.startswith(f"the method {entry!r} of the installed package other-package 1.2 is refused: ")
    assert said.endswith("; correct the package, or uninstall it")
    assert "\n" not in said


def test_names_and_options_of_another_package_are_checked(install, tmp_path):
    install(TWO, ("camaudit.methods", "plain", "plain"))
    with pytest.raises(AuditError, match=r"unknown method 'plane'; did you mean 'plain'\?"):
        audit(plant(tmp_path / "a", 3, explain={"methods": ["gradcam", "plane"]}))
    with pytest.raises(AuditError, match=r"explain.options.plain.powr: unknown option; did you mean 'power'\?"):
        audit(plant(tmp_path / "b", 3, explain={"methods": ["gradcam", "plain"], "options": {"plain": {"powr": 2}}}))


def test_two_packages_with_one_name_are_refused(install, tmp_path):
    install(TWO, ("camaudit.methods", "plain", "plain"))
    install(SECTION.format(body="return []", order=5, title="x"), ("camaudit.methods", "plain", "part"), name="second")
    with pytest.raises(
        AuditError,
        match=r"'plain' of the installed package second 1\.2 is refused: the name is taken by other-package",
    ):
        audit(plant(tmp_path / "audit", 3))


def test_a_section_of_another_package_is_in_the_report_and_says_whose_it_is(install, tmp_path):
    body = 'return [paragraph(f"Their word on {context.results.audit}.")]'
    install(SECTION.format(body=body, order=205, title="Their view"), ("camaudit.sections", "their_view", "part"))
    run = audit(plant(tmp_path / "audit", 3))
    text = " ".join(text_of(run.report).split())
    assert "Their word on planted." in text
    assert "made by the installed package other-package 1.2, which is no part of camaudit" in text
    entry = next(e for e in read_ledger(run.folder / "ledger.jsonl") if e.event == "report.rendered")
    assert entry.body["packages"] == ["other-package 1.2"]


@pytest.mark.parametrize(
    ("source", "value", "reason"),
    [
        ("part = 3", "part", "it is a int and not a Section"),
        ("1 / 0", "part", r"cannot be imported \(ZeroDivisionError: division by zero\)"),
        (
            SECTION.format(body="return []", order=10, title="Mine"),
            "part",
            "10 'Mine' clashes with section 10 'Summary'",
        ),
        (SECTION.format(body="return []", order=11, title="Summary"), "part", "clashes with section 10 'Summary'"),
        (SECTION.format(body="return []", order=-1, title="First"), "part", "an order above 0"),
        (SECTION.format(body="return []", order=205, title=""), "part", "it needs a title"),
    ],
)
def test_a_wrong_section_is_refused_with_the_reason(install, source, value, reason):
    install(source, ("camaudit.sections", "theirs", value))
    with pytest.raises(OutputError, match=reason) as caught:
        sections()
    assert str(caught.value).startswith("the section 'theirs' of the installed package other-package 1.2 is refused: ")


@pytest.mark.parametrize(
    ("body", "reason"),
    [("raise KeyError('x')", r"failed \(KeyError: 'x'\)"), ("return 'text'", "gives no list of what")],
)
def test_a_section_that_fails_leaves_no_report(install, tmp_path, body, reason):
    from tests.old_runs.make import PRESENT

    install(SECTION.format(body=body, order=205, title="Their view"), ("camaudit.sections", "theirs", "part"))
    with pytest.raises(OutputError, match=reason):
        render(PRESENT, tmp_path / "report.pdf")
    assert list(tmp_path.glob("*.pdf")) == []
