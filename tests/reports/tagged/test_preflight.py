"""The preflight: a report breaks no rule, and a file that breaks one is told so."""

import io

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name

from reports.page import archive_pdf
from reports.pdf import render
from reports.tagged.metadata import Description, metadata_of, read_claim
from reports.tagged.page_marks import marks_of
from reports.tagged.preflight import RULES, BrokenRule, Conformance, claim_of, preflight
from tests.reports import example


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = example.write_run(tmp_path_factory.mktemp("run"))
    return render(folder).read_bytes()


def elements(pdf, tag):
    return [item for item in pdf.objects if isinstance(item, Dictionary) and item.get("/S") == f"/{tag}"]


def fonts(pdf):
    return [item for item in pdf.objects if isinstance(item, Dictionary) and item.get("/Type") == "/Font"]


def image(pdf):
    return next(item for item in pdf.objects if isinstance(item, pikepdf.Stream) and item.get("/Subtype") == "/Image")


def link(pdf, subtype="/Link"):
    annotations = (annotation for page in pdf.pages for annotation in page.get("/Annots", []))
    return next(annotation for annotation in annotations if annotation.Subtype == subtype)


def with_content(pdf, change, page=0):
    """Rewrite a page's content stream by ``change``, which gets and gives bytes."""
    place = pdf.pages[page]
    place.obj.Contents = pdf.make_stream(change(place.Contents.read_bytes()))


def removed(holder, *names):
    for name in names:
        del holder[name]


def renamed(pdf, tag, to):
    elements(pdf, tag)[0].S = Name(f"/{to}")


def a_row_shorter(pdf):
    row = next(row for row in elements(pdf, "TR") if isinstance(row.K, Array) and len(row.K) > 3)
    row.K = Array(list(row.K)[:-2])


def no_header_cells(pdf):
    for cell in elements(pdf, "TH"):
        cell.S = Name.TD


def first_mark_in_another_element(pdf):
    owners = next(value for value in pdf.Root.StructTreeRoot.ParentTree.Nums if isinstance(value, Array))
    owners[0] = owners[len(owners) - 1]


def mark_missing_in_tree(pdf):
    removed(elements(pdf, "H1")[0], "/K")


def mark_missing_on_page(pdf):
    with_content(pdf, lambda code: code.replace(b"/H1 <</MCID 0>> BDC", b"/Artifact BMC"))


def unmarked(pdf):
    with_content(pdf, lambda code: code.replace(b"/H1 <</MCID 0>> BDC", b"/Nothing BMC"))


def filtered_by_lzw(pdf):
    image(pdf)["/Filter"] = Name.LZWDecode


def forbidden_annotation(pdf):
    link(pdf).Subtype = Name.Movie


def without_appearance(pdf):
    annotation = Dictionary(Type=Name.Annot, Subtype=Name.Square, Rect=Array([0, 0, 9, 9]), F=4)
    pdf.pages[0].obj.Annots = Array([pdf.make_indirect(annotation)])


def other_title(pdf):
    pdf.trailer.Info = pdf.make_indirect(Dictionary(Title="Another title"))


def deep_heading(pdf):
    elements(pdf, "H2")[1].S = Name.H6


def nested_mark(pdf):
    with_content(
        pdf, lambda code: code.replace(b"/H1 <</MCID 0>> BDC", b"/Artifact BMC /H1 <</MCID 0>> BDC", 1) + b" EMC"
    )


def mark_across_a_path(pdf):
    with_content(pdf, lambda code: code + b"\n/Artifact BMC 1 1 m 2 2 l EMC S")


def doubled_number(pdf):
    with_content(pdf, lambda code: code.replace(b"<</MCID 1>>", b"<</MCID 0>>"))


def four_inks(pdf):
    with_content(pdf, lambda code: code + b"\n0 0 0 1 k")


def no_xml(pdf):
    pdf.Root.Metadata = pdf.make_indirect(pikepdf.Stream(pdf, b"<x:xmpmeta", Type=Name.Metadata, Subtype=Name.XML))


def no_title(pdf):
    claim = Conformance(None, universal=False)
    pdf.Root.Metadata.write(metadata_of(Description("", "c", "s", "t", "2026-01-01", "en"), claim))


def second_owner(pdf):
    first, second = elements(pdf, "H2")[:2]
    second.K = Array([second.K, Dictionary(Type=Name.MCR, Pg=first.Pg, MCID=first.K)])


BROKEN = [
    ("identity", lambda pdf: None),  # saved without one, below
    ("information", other_title),
    ("metadata", lambda pdf: removed(pdf.Root, "/Metadata")),
    ("colour", lambda pdf: removed(pdf.Root, "/OutputIntents")),
    ("colour", lambda pdf: pdf.Root.OutputIntents[0].DestOutputProfile.write(b"no profile")),
    ("colour", four_inks),
    ("fonts", lambda pdf: removed(fonts(pdf)[0].FontDescriptor, "/FontFile2")),
    ("actions", lambda pdf: pdf.Root.__setattr__("OpenAction", Dictionary(S=Name.JavaScript, JS="1"))),
    ("scripts", lambda pdf: pdf.Root.Names.__setattr__("JavaScript", Dictionary())),
    ("actions", lambda pdf: link(pdf).__setattr__("A", Dictionary(S=Name.Launch, F="x"))),
    ("actions", lambda pdf: pdf.pages[0].obj.__setattr__("AA", Dictionary())),
    ("streams", filtered_by_lzw),
    ("streams", lambda pdf: image(pdf).__setattr__("F", "elsewhere.jpg")),
    ("annotations", forbidden_annotation),
    ("annotations", lambda pdf: link(pdf).__setattr__("F", 0)),
    ("annotations", lambda pdf: link(pdf).__setattr__("F", 6)),
    ("annotations", without_appearance),
    ("attachments", lambda pdf: removed(pdf.Root.AF[0], "/AFRelationship")),
    ("attachments", lambda pdf: removed(pdf.Root, "/AF")),
    ("attachments", lambda pdf: removed(pdf.Root.AF[0], "/UF")),
    ("attachments", lambda pdf: removed(pdf.Root.AF[0].EF.F, "/Subtype")),
    ("images", lambda pdf: image(pdf).__setattr__("Interpolate", True)),
    ("images", lambda pdf: image(pdf).__setattr__("ColorSpace", Name.DeviceCMYK)),
    ("images", lambda pdf: image(pdf).__setattr__("Alternates", Array())),
    ("forms", lambda pdf: pdf.Root.AcroForm.__setattr__("NeedAppearances", True)),
    ("marked", lambda pdf: removed(pdf.Root, "/MarkInfo")),
    ("tree", lambda pdf: removed(pdf.Root, "/StructTreeRoot")),
    ("tree", lambda pdf: removed(pdf.Root.StructTreeRoot, "/ParentTree")),
    ("tree", lambda pdf: removed(elements(pdf, "H1")[0], "/Pg")),
    ("tree", lambda pdf: elements(pdf, "H2")[1].__setattr__("K", Array([elements(pdf, "H2")[0]]))),
    ("language", lambda pdf: removed(pdf.Root, "/Lang")),
    ("content", unmarked),
    ("content", nested_mark),
    ("content", mark_across_a_path),
    ("marks", mark_missing_in_tree),
    ("marks", mark_missing_on_page),
    ("marks", doubled_number),
    ("marks", second_owner),
    ("parents", first_mark_in_another_element),
    ("parents", lambda pdf: removed(pdf.pages[0].obj, "/StructParents")),
    ("tags", lambda pdf: renamed(pdf, "H1", "P")),
    ("roles", lambda pdf: renamed(pdf, "H1", "Heading")),
    ("nesting", lambda pdf: renamed(pdf, "LBody", "LI")),
    ("nesting", lambda pdf: renamed(pdf, "Table", "P")),
    ("nesting", lambda pdf: renamed(pdf, "H1", "Sect")),
    ("links", lambda pdf: renamed(pdf, "Link", "Span")),
    ("links", lambda pdf: link(pdf).__setattr__("StructParent", 0)),
    ("links", lambda pdf: pdf.pages[0].obj.__setattr__("Annots", Array([pdf.make_indirect(Dictionary(
        Type=Name.Annot, Subtype=Name.Link, F=4, Contents="x", Rect=Array([0, 0, 1, 1])))]))),
    ("figures", lambda pdf: removed(elements(pdf, "Figure")[0], "/Alt")),
    ("figures", lambda pdf: elements(pdf, "Figure")[0].__setattr__("Alt", "  ")),
    ("header cells", lambda pdf: removed(elements(pdf, "TH")[0], "/A")),
    ("header cells", lambda pdf: elements(pdf, "TH")[0].A.__setattr__("Scope", Name.Sideways)),
    ("tables", a_row_shorter),
    ("tables", no_header_cells),
    ("tables", lambda pdf: elements(pdf, "TD")[0].__setattr__("A", Dictionary(O=Name.Table, ColSpan=2))),
    ("headings", deep_heading),
    ("unicode", lambda pdf: removed(fonts(pdf)[0], "/ToUnicode")),
    ("unicode", lambda pdf: fonts(pdf)[0].ToUnicode.write(b"1 beginbfchar <41> <0000> endbfchar")),
    ("title", lambda pdf: removed(pdf.Root, "/ViewerPreferences")),
    ("title", no_title),
    ("tab order", lambda pdf: removed(pdf.pages[1].obj, "/Tabs")),
    ("page labels", lambda pdf: removed(pdf.Root, "/PageLabels")),
    ("field words", lambda pdf: removed(link(pdf, "/Widget"), "/TU")),
    ("links", lambda pdf: renamed(pdf, "Form", "Span")),
    ("link words", lambda pdf: link(pdf).__setattr__("Contents", "")),
    ("first heading", lambda pdf: renamed(pdf, "H1", "P")),
    ("metadata", no_xml),
]  # fmt: skip


def reopened(pdf, **options):
    target = io.BytesIO()
    pdf.save(target, fix_metadata_version=False, **options)
    return pikepdf.open(target)


def test_a_report_breaks_no_rule_and_claims_so(report):
    with pikepdf.open(io.BytesIO(report)) as pdf:
        assert preflight(pdf) == ()
        assert read_claim(pdf) == Conformance("A", universal=True)


@pytest.mark.parametrize(("rule", "damage"), BROKEN, ids=[f"{place}-{rule}" for place, (rule, _) in enumerate(BROKEN)])
def test_a_broken_rule_is_named(report, rule, damage):
    with pikepdf.open(io.BytesIO(report)) as pdf:
        damage(pdf)
        with reopened(pdf) as damaged:
            if rule == "identity":
                del damaged.trailer["/ID"]
            faults = preflight(damaged)
    assert rule in {fault.rule for fault in faults}
    assert all(fault.level == RULES[fault.rule][0] for fault in faults)


def test_an_encrypted_file_is_named(report):
    with pikepdf.open(io.BytesIO(report)) as pdf:
        secret = pikepdf.Encryption(owner="x", user="")
        with reopened(pdf, encryption=secret) as damaged:
            assert "encryption" in {fault.rule for fault in preflight(damaged)}


def test_every_rule_is_broken_once():
    assert {rule for rule, _ in BROKEN} | {"encryption"} == set(RULES)


def test_a_file_without_any_of_it_is_told_so_and_stops_nothing():
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        broken = {fault.rule for fault in preflight(pdf)}
    assert {"metadata", "colour", "tree", "marked", "language", "title"} <= broken


@pytest.mark.parametrize(
    ("levels", "claim"),
    [
        ([], Conformance("A", universal=True)),
        (["reading"], Conformance("A", universal=False)),
        (["structure"], Conformance("B", universal=False)),
        (["structure", "reading"], Conformance("B", universal=False)),
        (["archive"], Conformance(None, universal=False)),
    ],
)
def test_a_claim_is_no_larger_than_its_rules_allow(levels, claim):
    assert claim_of([BrokenRule("rule", level, "what") for level in levels]) == claim


@pytest.mark.parametrize(("level", "claim"), [("structure", "B"), ("archive", None)])
def test_a_report_that_breaks_a_rule_claims_less(tmp_path, monkeypatch, level, claim):
    monkeypatch.setattr(archive_pdf, "preflight_file", lambda path: (BrokenRule("rule", level, "what"),))
    with pikepdf.open(render(example.write_run(tmp_path))) as pdf:
        assert read_claim(pdf) == Conformance(claim, universal=False)


def test_marks_in_a_text_are_read():
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page()
        page.Contents = pdf.make_stream(b"/P <</MCID 0>> BDC BT (a) Tj ET EMC BT /Link <</MCID 1>> BDC (b) Tj EMC ET")
        marks = marks_of(page)
    tags = {number: marks.tag(number) for number in marks.numbers}
    assert (tags, marks.unmarked, marks.crossed, marks.nested) == ({0: "P", 1: "Link"}, 0, 0, 0)


@pytest.mark.parametrize("code", [b"/P <</MCID 0>> BDC BT (a) Tj EMC ET", b"/P <</MCID 0>> BDC", b"EMC"])
def test_marks_that_cross_are_seen(code):
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page()
        page.Contents = pdf.make_stream(code)
        assert marks_of(page).crossed
