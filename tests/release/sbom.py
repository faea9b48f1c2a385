"""``python -m tests.release.sbom FILE``: the parts list of this environment, CycloneDX 1.6 in JSON.

What is listed is what is installed: NiiVue, which lies in the package, and every distribution that camaudit's extras
lead to, with version, licence as the distribution states it, package URL, the hash of its record of files, and who
depends on whom. The same environment gives the same bytes.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from reports.viewer.assets import LIBRARY_FILE, LIBRARY_SHA256

ROOT = "camaudit"
EXTRA = "all"


def canonical(name: str) -> str:
    """Return a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(found: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield what a distribution needs here, with the extras that it asks of each."""
    for text in found.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            yield canonical(requirement.name), frozenset(requirement.extras)


def collected() -> tuple[dict[str, Distribution], dict[str, set[str]]]:
    """Return the installed distributions below camaudit by name, and the names that each needs."""
    parts: dict[str, Distribution] = {}
    edges: dict[str, set[str]] = {}
    waiting, seen = [(ROOT, frozenset({EXTRA}))], set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            parts[name] = distribution(name)
        except PackageNotFoundError:
            continue
        below = list(needed(parts[name], extras))
        edges.setdefault(name, set()).update(other for other, _ in below if other != name)
        waiting += below
    return parts, edges


def licence(found: Distribution) -> list[dict[str, object]]:
    """Return a distribution's licence as it states it: an expression, else the names of its classifiers."""
    facts = found.metadata
    if facts.get("License-Expression"):
        return [{"expression": facts["License-Expression"]}]
    classifiers = [each for each in facts.get_all("Classifier") or () if each.startswith("License")]
    first = (facts.get("License") or "").strip().splitlines()[:1]
    names = sorted({each.rpartition(" :: ")[2] for each in classifiers}) or first
    return [{"license": {"name": name}} for name in names]


def component(name: str, found: Distribution) -> dict[str, object]:
    """Return a distribution as a component."""
    record = found.read_text("RECORD")
    facts: dict[str, object] = {
        "type": "application" if name == ROOT else "library",
        "bom-ref": reference(name, found),
        "name": name,
        "version": found.version,
        "purl": reference(name, found),
    }
    if record is not None:
        digest = hashlib.sha256("\n".join(sorted(record.splitlines())).encode()).hexdigest()
        facts["properties"] = [{"name": "camaudit:record:sha256", "value": digest}]
    stated = licence(found)
    return {**facts, "licenses": stated} if stated else facts


def reference(name: str, found: Distribution) -> str:
    """Return a distribution's package URL."""
    return f"pkg:pypi/{name}@{found.version}"


def vendored() -> dict[str, object]:
    """Return the one library that lies in the package itself: NiiVue, for the view in space."""
    name, version = "@niivue/niivue", LIBRARY_FILE.removeprefix("niivue-").removesuffix(".umd.js")
    purl = f"pkg:npm/%40niivue/niivue@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": LIBRARY_SHA256}],
        "licenses": [{"license": {"id": "BSD-2-Clause"}}],
    }


def bill_of_materials() -> dict[str, object]:
    """Return the parts list as CycloneDX has it."""
    parts, edges = collected()
    names = sorted(parts)
    root = component(ROOT, parts[ROOT])
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": root,
            "tools": {"components": [{"type": "application", "name": "tests.release.sbom"}]},
        },
        "components": [vendored(), *(component(name, parts[name]) for name in names if name != ROOT)],
        "dependencies": [
            {
                "ref": reference(name, parts[name]),
                "dependsOn": [reference(other, parts[other]) for other in sorted(edges[name]) if other in parts],
            }
            for name in names
        ],
    }


def main() -> None:
    """Write the parts list to the file that is named."""
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(bill_of_materials(), indent=1) + "\n")


if __name__ == "__main__":
    main()
