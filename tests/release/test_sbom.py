"""The parts list of the release: every library that the extras lead to, once, with what it depends on."""

import re

from tests.release.sbom import bill_of_materials


def test_it_lists_what_the_extras_lead_to_and_refers_to_nothing_else():
    bill = bill_of_materials()
    names = [part["name"] for part in bill["components"]]
    assert names == sorted(set(names))
    assert {"torch", "monai", "reportlab", "prefect", "cryptography", "numpy"} <= set(names)
    assert not {"pytest", "mypy", "camaudit"} & set(names), "what only tests need is no part of a release"
    references = {part["bom-ref"] for part in (*bill["components"], bill["metadata"]["component"])}
    for part in bill["dependencies"]:
        assert {part["ref"], *part["dependsOn"]} <= references
    own, *others = sorted(references)
    assert own == "pkg:npm/%40niivue/niivue@0.69.0", "what lies in the package itself"
    assert all(re.fullmatch(r"pkg:pypi/[a-z0-9-]+@\S+", each) for each in others)


def test_nearly_every_part_states_a_licence():
    parts = bill_of_materials()["components"]
    silent = [part["name"] for part in parts if not part.get("licenses")]
    assert len(silent) <= len(parts) // 10, silent
