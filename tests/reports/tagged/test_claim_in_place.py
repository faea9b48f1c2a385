"""What a file claims is set where its metadata stand: all else stays, byte for byte."""

import pikepdf
import pytest
from pikepdf import Name

from reports.tagged import metadata
from reports.tagged.metadata import Description, claim_in_file, metadata_of, read_claim
from reports.tagged.preflight import Conformance

DESCRIPTION = Description("t & <t>", "c", "s", "t", "2026-01-01", "en")
NOTHING = Conformance(None, universal=False)


@pytest.fixture
def path(tmp_path):
    """A file that claims nothing, with something before and behind its metadata."""
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.attachments["x.bin"] = pikepdf.AttachedFileSpec(pdf, bytes(range(256)) * 40, filename="x.bin")
        pdf.Root.Metadata = pdf.make_stream(metadata_of(DESCRIPTION, NOTHING), Type=Name.Metadata, Subtype=Name.XML)
        pdf.save(tmp_path / "file.pdf", fix_metadata_version=False)
    return tmp_path / "file.pdf"


@pytest.mark.parametrize("block", [7, 64, 2**20])
@pytest.mark.parametrize("claim", [Conformance("A", universal=True), Conformance("B", universal=False), NOTHING])
def test_only_the_metadata_change(path, claim, block, monkeypatch):
    monkeypatch.setattr(metadata, "_BLOCK", block)
    before = path.read_bytes()
    claim_in_file(path, DESCRIPTION, claim)
    after = path.read_bytes()
    assert len(after) == len(before)
    start = before.index(b"<?xpacket begin")
    end = before.index(b'<?xpacket end="w"?>')
    assert (after[:start], after[end:]) == (before[:start], before[end:])
    with pikepdf.open(path) as pdf:
        assert read_claim(pdf) == claim
        assert pdf.check_pdf_syntax() == []


def test_a_file_with_other_metadata_or_with_them_twice_is_refused(path):
    other = Description("another", "c", "s", "t", "2026-01-01", "en")
    with pytest.raises(ValueError, match="just once"):
        claim_in_file(path, other, NOTHING)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(ValueError, match="just once"):
        claim_in_file(path, DESCRIPTION, NOTHING)
