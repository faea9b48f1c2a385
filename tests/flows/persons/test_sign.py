"""``camaudit sign``, and what ``camaudit verify`` says of a signed report before and after each attack on it."""

import io
import json
import shutil

import pikepdf
import pytest

from pipeline.findings.signed.signatures import Statement
from pipeline.verify.failure import FailureKind
from reports.tagged.metadata import read_claim
from reports.tagged.preflight import preflight
from tests.flows.persons.help import certificates, codes, put_signature
from tests.reports.signing.people import write_p12, write_pem


def sign(camaudit, path, key, meaning="authorship", *more):
    return camaudit("sign", path, "--key", key, "--role", "physicist", "--meaning", meaning, *more)


def test_author_and_reviewer_sign_a_run_and_verify_says_who_what_and_when(
    copy, camaudit, people, ca, tmp_path, monkeypatch
):
    before = (copy.run / "report.pdf").read_bytes()
    code, out, err = sign(camaudit, copy.run, write_p12(people["author"], tmp_path / "a.p12"))
    assert (code, err) == (0, "")
    assert out.rstrip() == str(copy.run / "report-signed.pdf")
    monkeypatch.setenv("CAMAUDIT_SIGN_PASSWORD", "secret")
    reviewer = write_pem(people["reviewer"], tmp_path / "r.pem", b"secret")
    assert sign(camaudit, copy.run, reviewer, "review", "--name", "Rita Reviewer")[0] == 0
    assert (copy.run / "report.pdf").read_bytes() == before
    assert (copy.run / "report-signed.pdf").read_bytes().startswith(before)
    code, out, _ = camaudit("verify", copy.run, "--trust", ca)
    assert code == 0
    assert "signed: authorship by Ada Author (physicist), 20" in out
    assert "signed: review by Rita Reviewer (physicist), 20" in out
    assert out.count("certificate of Ada Author, trusted; the signer's own clock") == 1
    assert "who made the signatures was not checked" in camaudit("verify", copy.run)[1]
    events = [json.loads(line) for line in (copy.run / "ledger.jsonl").read_bytes().splitlines()]
    assert [(e["body"]["name"], e["body"]["meaning"]) for e in events if e["event"] == "report.signed"] == [
        ("Ada Author", "authorship"),
        ("Rita Reviewer", "review"),
    ]


def test_a_signed_report_still_holds_what_it_claims(world):
    with pikepdf.open(world.root / "signed.pdf") as pdf:
        assert preflight(pdf) == ()
        assert read_claim(pdf).archive == "A"


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, "reason", "contents", "padding", "box", "range"])
def test_every_flipped_byte_is_noticed_without_the_folder(world, camaudit, tmp_path, place):
    content = bytearray((world.root / "signed.pdf").read_bytes())
    unsigned = len((world.run / "report.pdf").read_bytes())
    contents = content.index(b"/Contents <30", unsigned)
    padding = content.index(b"0" * 40 + b">", contents)
    places = {
        "reason": content.index(b"/Reason", unsigned) + 10,
        "contents": len(content[:padding].rstrip(b"0")) - 20,
        "padding": padding + 30,
        "box": content.index(b"/Rect", unsigned) + 9,
        "range": content.index(b"/ByteRange", unsigned) + 14,
    }
    at = places.get(place) or int(place * unsigned)
    content[at] ^= 1
    altered = tmp_path / "altered.pdf"
    altered.write_bytes(content)
    assert codes(camaudit, altered) & {70, 71, 72, 73, 74}


def appended_junk(content, _folder):
    return content + b"\n%junk"


def appended_update(content, _folder):
    """Change the catalog in an update, as an editor does."""
    from pyhanko.pdf_utils.generic import TextStringObject
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(io.BytesIO(content))
    writer.root["/Lang"] = TextStringObject("de")
    writer.update_root()
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def edited_page(content, _folder):
    from pyhanko.pdf_utils.generic import StreamObject
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(io.BytesIO(content))
    writer.add_stream_to_page(0, writer.add_object(StreamObject(stream_data=b"0 0 500 500 re f")))
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def swapped_attachment(content, _folder):
    """Put another results.json into the place of the carried one, in an update."""
    from pyhanko.pdf_utils.generic import StreamObject
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(io.BytesIO(content))
    names = writer.root["/Names"]["/EmbeddedFiles"]["/Names"]
    place = next(place for place, name in enumerate(names) if str(name) == "results.json")
    files = names[place + 1]["/EF"]
    forged = files["/F"].data.replace(b'"seed":', b'"seed" :')
    assert forged != files["/F"].data
    reference = files.raw_get("/F").reference
    writer.objects[reference.generation, reference.idnum] = StreamObject(
        {"/Type": files["/F"]["/Type"], "/Subtype": files["/F"]["/Subtype"]}, stream_data=forged
    )
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def annotated(content, _folder):
    """Add a note to the first page, as readers of PDF offer it."""
    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(io.BytesIO(content))
    box = generic.ArrayObject(map(generic.NumberObject, (100, 100, 300, 200)))
    note = {"/Type": "/Annot", "/Subtype": "/FreeText", "/F": generic.NumberObject(4), "/Rect": box}
    names = {key: generic.NameObject(value) if isinstance(value, str) else value for key, value in note.items()}
    names["/Contents"] = generic.pdf_string("NOT MET was a mistake: MET")
    writer.register_annotation(
        writer.find_page_for_modification(0)[0], writer.add_object(generic.DictionaryObject(names))
    )
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def box_drawn_over(content, _folder):
    """Give the signed box another picture in an update, as in a shadow attack: the signature stays what it was."""
    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(io.BytesIO(content))
    box = next(each for each in writer.root["/AcroForm"]["/Fields"] if "Authorship" in str(each.get_object()["/T"]))
    drawn = {"/Type": "/XObject", "/Subtype": "/Form"}
    facts = {key: generic.NameObject(value) for key, value in drawn.items()}
    facts["/BBox"] = box.get_object()["/Rect"]
    other = writer.add_object(generic.StreamObject(facts, stream_data=b"0 0 900 900 re f"))
    box.get_object()["/AP"] = generic.DictionaryObject({generic.NameObject("/N"): other})
    writer.update_container(box.get_object())
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


ATTACKS = {
    "note added": (annotated, 74, "something else than a further signature"),
    "box drawn over": (box_drawn_over, 74, "something else than a further signature"),
    "junk appended": (appended_junk, 74, "bytes were appended"),
    "catalog edited": (appended_update, 74, "something else than a further signature"),
    "page painted over": (edited_page, 74, "something else than a further signature"),
    "attachment swapped": (swapped_attachment, 74, "something else than a further signature"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_was_added_later_is_said(world, camaudit, tmp_path, name, ca):
    attack, kind, words = ATTACKS[name]
    altered = tmp_path / "altered.pdf"
    altered.write_bytes(attack((world.root / "signed.pdf").read_bytes(), tmp_path))
    assert kind in codes(camaudit, altered, "--trust", ca)
    assert words in camaudit("verify", altered)[1]


@pytest.mark.parametrize("attack", [appended_update, edited_page, swapped_attachment])
def test_who_edits_and_then_signs_is_noticed_too(world, camaudit, tmp_path, people, attack):
    """A true signature over a report that was changed before it."""
    edited, signed = tmp_path / "edited.pdf", tmp_path / "edited-signed.pdf"
    edited.write_bytes(attack((world.run / "report.pdf").read_bytes(), tmp_path))
    put_signature(edited, signed, people["author"], tmp_path)
    assert FailureKind.PDF_ADDED.code in codes(camaudit, signed)


def test_certificates_of_others_and_ended_ones_are_not_trusted(world, camaudit, tmp_path, people, ca):
    for who, words in (("namesake", "is by none whom --trust names"), ("expired", "was not valid when it was checked")):
        signed = tmp_path / f"{who}.pdf"
        put_signature(world.run / "report.pdf", signed, people[who], tmp_path)
        assert codes(camaudit, signed, "--trust", ca) == {FailureKind.PDF_SIGNER.code}
        assert words in camaudit("verify", signed, "--trust", ca)[1]
        assert codes(camaudit, signed) == set(), "whose it is was not asked"


def test_a_signature_from_before_the_report_is_named(world, camaudit, tmp_path, people):
    """Whoever sets his clock back signs a report that nobody had then."""
    target = tmp_path / "early.pdf"
    put_signature(world.run / "report.pdf", target, people["author"], tmp_path, time="2020-02-02T02:02:02+00:00")
    assert codes(camaudit, target) == {FailureKind.PDF_SIGNATURE.code}
    assert "states a time before the run ended" in camaudit("verify", target)[1]


def test_a_signature_over_another_runs_report_is_not_this_runs(copy, camaudit, people, tmp_path):
    put_signature(copy.other / "report.pdf", copy.run / "report-signed.pdf", people["author"], tmp_path)
    assert codes(camaudit, copy.run) == {FailureKind.PDF_OTHER_REPORT.code}


def test_a_signature_that_was_taken_away(copy, camaudit, people, tmp_path, ca):
    sign(camaudit, copy.run, write_p12(people["author"], tmp_path / "a.p12"))
    shutil.copy(copy.run / "report.pdf", copy.run / "report-signed.pdf")
    assert codes(camaudit, copy.run) == {30, FailureKind.PDF_UNSIGNED.code}
    (copy.run / "report-signed.pdf").unlink()
    assert codes(camaudit, copy.run) == {31}, "the ledger was told of it"
    assert codes(camaudit, copy.run / "report.pdf", "--trust", ca) == {FailureKind.PDF_UNSIGNED.code}
    assert codes(camaudit, copy.run / "report.pdf") == set()


def test_a_page_that_says_otherwise_than_its_signature(world, camaudit, tmp_path, people, monkeypatch):
    from reports.signing import sign as signing
    from reports.signing.block import SignatureBlock

    def flattering(statement, certificate, unsigned):
        return SignatureBlock(
            Statement("Prof. Dr. Famous", "head", statement.meaning, statement.time), certificate, unsigned
        )

    monkeypatch.setattr(signing, "SignatureBlock", flattering)
    put_signature(world.run / "report.pdf", tmp_path / "a.pdf", people["author"], tmp_path)
    assert FailureKind.PDF_SIGNATURE.code in codes(camaudit, tmp_path / "a.pdf")


def test_without_pyhanko_it_says_what_cannot_be_checked(world, camaudit, monkeypatch, ca):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "pyhanko" else real(name, *a))
    signed = world.root / "signed.pdf"
    assert (
        "signatures were not checked, which needs other packages: pip install 'camaudit[sign]'"
        in camaudit("verify", signed)[1]
    )
    assert codes(camaudit, signed, "--trust", ca) == {FailureKind.PDF_SIGNER.code, FailureKind.PDF_UNSIGNED.code} - {78}


def test_mistakes_are_a_line_each_and_nothing_is_written(copy, camaudit, people, tmp_path):
    own = write_p12(people["author"], tmp_path / "a.p12")
    mistakes = {
        "no such meaning": (own, "aproval", "did you mean 'approval'"),
        "an ended certificate": (write_p12(people["expired"], tmp_path / "e.p12"), "review", "is valid from"),
        "no password": (write_p12(people["author"], tmp_path / "p.p12", b"x"), "review", "needs a password"),
        "no key": (tmp_path / "nowhere.p12", "review", "cannot be read"),
        "no key inside": (certificates(tmp_path / "c.pem", people["author"]), "review", "holds no private key"),
    }
    for name, (key, meaning, words) in mistakes.items():
        code, out, err = sign(camaudit, copy.run, key, meaning)
        assert (code, out, words in err, len(err.splitlines())) == (2, "", True, 1), (name, err)
    assert not (copy.run / "report-signed.pdf").exists()
    assert sign(camaudit, copy.run, own)[0] == 0
    code, _, err = sign(camaudit, copy.run, own)
    assert (code, "the box for authorship is signed already, by 'Ada Author'" in err) == (2, True)
    (copy.run / "per_study.csv").write_bytes(b"forged")
    code, _, err = sign(camaudit, copy.run, own, "review")
    assert (code, "not signed: 30" in err) == (30, True)


def test_a_key_that_others_may_read_is_refused(copy, camaudit, people, tmp_path):
    key = write_pem(people["author"], tmp_path / "k.pem")
    key.chmod(0o644)
    code, _, err = sign(camaudit, copy.run, key)
    assert (code, "others may read it" in err) == (2, True)
