"""``camaudit qualify``: every known case agrees here, and each can differ."""

import json
import os
from itertools import chain

import pikepdf
import pytest

from cam import METHODS
from flows.commands.persons import qualify
from flows.qualification import documents, geometry, ledgers, maps, rules
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.signed.attestation import read_statement
from pipeline.findings.signed.qualification import KnownCase
from reports.tagged.preflight import preflight


@pytest.fixture(scope="module")
def cases():
    areas = (maps.map_cases, geometry.geometry_cases, rules.rule_cases, ledgers.ledger_cases, documents.document_cases)
    return tuple(chain.from_iterable(area() for area in areas))


def test_every_known_case_agrees_and_every_method_has_one(cases):
    assert [case for case in cases if not case.agrees] == []
    assert {case.key for case in cases if case.area == "Maps"} == {
        f"map.{name}" for name, method in METHODS.items() if method.package is None
    }
    assert len({case.key for case in cases}) == len(cases)


def off_by(share):
    kept = maps._map("gradcam")
    return {**kept, "values": [value + share * kept["largest"] for value in kept["values"]]}


def test_a_map_that_moved_differs_and_one_that_rounds_otherwise_does_not():
    assert maps._agreement("gradcam", off_by(2e-3)).startswith("off by")
    assert maps._agreement("gradcam", off_by(1e-5)) == "as kept"
    assert maps._agreement("gradcam", {**off_by(0), "shape": [4, 4]}) != "as kept"
    assert maps._agreement("attention_rollout", off_by(0)) == "refused for this network"
    assert maps._agreement("gradcam", None) == "a map that was not kept"


BROKEN = {
    "geometry: an axis mirrored": (geometry, "_oblique", "marked_voxel.nrrd"),
    "rule: another interval": (rules, "exact_interval", "lower.9_of_10"),
    "ledger: nothing noticed": (ledgers, "read_ledger", "ledger.a_line_edited"),
    "documents: nothing noticed": (documents, "named_fault", "pdf.metadata"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_differs(monkeypatch, name):
    module, function, key = BROKEN[name]
    area = {geometry: "geometry_cases", rules: "rule_cases", ledgers: "ledger_cases", documents: "document_cases"}
    real = getattr(module, function)
    calls, nothing = [], "no fault" if module is documents else ()

    def broken(*given, **more):
        calls.append(1)
        answer = real(*given, **more) if function in ("_oblique", "exact_interval") else nothing
        if function == "_oblique" and len(calls) % 2:
            answer = answer @ [[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
        return (0.5, 0.9) if function == "exact_interval" else answer

    monkeypatch.setattr(module, function, broken)
    assert key in {case.key for case in getattr(module, area[module])() if not case.agrees}


def differing(agrees):
    return KnownCase(key="a", area="Maps", what="w", expected="1", measured="2", tolerance="0", agrees=agrees)


@pytest.mark.parametrize("agrees", [True, False])
def test_files_are_written_and_signed_and_the_exit_code_says_whether_all_agree(camaudit, monkeypatch, tmp_path, agrees):
    monkeypatch.setitem(os.environ, "CAMAUDIT_STATE", str(tmp_path / "state"))
    for area in ("map_cases", "geometry_cases", "rule_cases", "ledger_cases", "document_cases"):
        monkeypatch.setattr(qualify, area, lambda area=area: iter([differing(agrees)] if area == "map_cases" else []))
    code, out, err = camaudit("qualify", "--folder", tmp_path / "q")
    assert (code, err) == (0 if agrees else 1, "")
    assert ("DIFFERS a: w: expected 1, found 2" in out) is not agrees
    found = json.loads((tmp_path / "q" / "qualification.json").read_bytes())
    assert found["installation"]["files"]["cam/methods/gradcam.py"]
    envelope = (tmp_path / "q" / "qualification-attestation.json").read_bytes()
    statement = read_statement(envelope, load_site_key().public)
    assert statement["predicate"]["differences"] == ([] if agrees else ["a"])
    with pikepdf.open(tmp_path / "q" / "qualification.pdf") as pdf:
        assert preflight(pdf) == ()
        assert (
            pdf.attachments["qualification.json"].get_file().read_bytes()
            == (tmp_path / "q" / "qualification.json").read_bytes()
        )
