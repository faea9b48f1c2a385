"""The one file that ties pseudonyms to names: made on request, for its owner alone."""

import csv
import stat

from pipeline.checks.config_checks import check_names
from pipeline.runs.pseudonym_links import LINKS_FILE, write_links
from pipeline.studies.pseudonyms import Pseudonyms, load_key
from pipeline.walk.sources import find_sources
from tests.pipeline.planted import plant


def test_the_table_ties_every_pseudonym_to_its_name(tmp_path):
    config = plant(tmp_path, 3)
    path = write_links(config)
    assert path == tmp_path / "runs" / LINKS_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open() as file:
        rows = list(csv.DictReader(file))
    sources = find_sources(check_names(config), Pseudonyms(load_key(tmp_path / "runs")))
    assert {row["study"]: row["archive_study"] for row in rows} == {
        source.study: source.row.study for source in sources
    }
    assert {row["patient"]: row["archive_patient"] for row in rows} == {
        source.patient: source.row.patient for source in sources
    }
    assert len(rows) == 3


def test_it_can_be_written_again_and_stays_private(tmp_path):
    config = plant(tmp_path, 3)
    write_links(config).unlink()
    path = write_links(config)
    first = path.read_bytes()
    assert write_links(config).read_bytes() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
