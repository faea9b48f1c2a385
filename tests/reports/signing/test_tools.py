"""What qpdf and poppler say of a signed report; ``make test-tools``."""

import shutil
import subprocess

import pytest

from pipeline.findings.signed.signatures import Statement
from reports.pdf import render
from reports.signing.credentials import opened_credentials
from reports.signing.sign import sign_report
from tests.reports import example
from tests.reports.signing.people import person, write_pem

pytestmark = pytest.mark.tools


def said(*command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tools")
    example.write_run(folder)
    source = render(folder)
    for meaning in ("authorship", "approval"):
        target = folder / f"{meaning}.pdf"
        with opened_credentials(str(write_pem(person(f"Ada {meaning}"), folder / "k.pem")), lambda: b"") as who:
            sign_report(source, target, who, Statement(who.name, "physicist", meaning, "2026-11-29T12:00:00+00:00"))
        source = target
    return source


def test_qpdf_finds_no_fault(signed):
    code, words = said("qpdf", "--check", str(signed))
    assert (code, "No syntax or stream encoding errors found" in words) == (0, True)


def test_poppler_finds_two_valid_signatures_of_which_the_last_covers_all(signed):
    _, words = said("pdfsig", "-nocert", str(signed))
    assert words.count("Signature is Valid") == 2
    assert words.count("ETSI.CAdES.detached") == 2
    assert words.count("Total document signed") == 1
    assert "The signature form field is not signed" in words, "nobody has reviewed it"


def test_poppler_notices_a_flipped_byte(signed, tmp_path):
    content = bytearray(signed.read_bytes())
    content[len(content) // 3] ^= 1
    altered = tmp_path / "altered.pdf"
    altered.write_bytes(content)
    _, words = said("pdfsig", "-nocert", str(altered))
    assert "Signature is Valid" not in words
