"""A report held against what it claims: by our own preflight, and by veraPDF where that is installed.

``python -m tests.conformance REPORT.pdf ...`` ends with 1 where a report claims more than holds.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pikepdf

from reports.tagged.metadata import read_claim
from reports.tagged.preflight import claim_of, preflight

FLAVOURS = {"A": "3a", "B": "3b"}


def own_findings(path):
    """Return the lines of our preflight, and whether the claim holds."""
    with pikepdf.open(path) as pdf:
        faults, claim = preflight(pdf), read_claim(pdf)
    universal = ", PDF/UA-1" if claim.universal else ""
    level = f"PDF/A-{FLAVOURS[claim.archive]}" if claim.archive else "no PDF/A"
    lines = [f"{path.name}: claims {level}{universal}", *(f"  {fault.rule}: {fault.what}" for fault in faults)]
    return lines, claim_of(faults) == claim, claim


def verapdf_findings(path, claim):
    """Return a line for each flavour that the file claims, and whether veraPDF agrees."""
    flavours = [FLAVOURS[claim.archive]] if claim.archive else []
    flavours += ["ua1"] if claim.universal else []
    lines, agrees = [], True
    for flavour in flavours:
        command = ["verapdf", "--format", "text", "--flavour", flavour, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        passed = done.returncode == 0 and done.stdout.startswith("PASS")
        lines.append(f"  veraPDF, {flavour}: {(done.stdout or done.stderr).strip()[:400] or done.returncode}")
        agrees = agrees and passed
    return lines, agrees


def main(paths):
    """Print what holds of each report; return the exit code."""
    validator = shutil.which("verapdf") is not None
    whole = True
    for path in paths:
        lines, holds, claim = own_findings(path)
        whole = whole and holds
        if validator:
            more, agrees = verapdf_findings(path, claim)
            lines, whole = [*lines, *more], whole and agrees
        print("\n".join(lines))
    if not validator:
        print("veraPDF is not on PATH: only our own preflight was run, which is no validator")
    return 0 if whole else 1


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("name a report: make conformance REPORT=path/to/report.pdf")
    sys.exit(main([Path(name) for name in sys.argv[1:]]))
