"""The link table: which of the archive's own names a pseudonym stands for. Written only when it is asked for."""

import csv
import io
from pathlib import Path

from pipeline.config_file import load_config
from pipeline.files import written
from pipeline.studies.pseudonyms import Pseudonyms, load_key
from pipeline.walk.sources import archive_rows

__all__ = ["LINKS_FILE", "write_links"]

LINKS_FILE = "links.csv"


def write_links(config_path: Path) -> Path:
    """Write ``<run.output>/links.csv``, readable by its owner alone; no other part of the program reads it.

    Raises:
        AuditError: when the configuration, the archive or the key cannot be used, or the file cannot be written.
    """
    config = load_config(config_path)
    names = Pseudonyms(load_key(config.run.output))
    rows = archive_rows(config.archive, output=config.run.output)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["study", "patient", "archive_study", "archive_patient"])
    table.writerows(
        [names.study(row.patient, row.study), names.patient(row.patient), row.study, row.patient] for row in rows
    )
    path = config.run.output / LINKS_FILE
    with written(path, private=True) as file:
        file.write(text.getvalue().encode("utf-8"))
    return path
