"""Headers whose voxels lie in files beside them (MetaImage, NIfTI pairs): whether these are there, and their fate."""

import json
from pathlib import PurePosixPath

from pipeline.errors import Reason
from pipeline.studies.index.catalogue import Catalogue, Entry
from pipeline.studies.index.headers import Kind
from pipeline.studies.readers import Readers

__all__ = ["check_voxels", "settle_voxels"]


def check_voxels(catalogue: Catalogue, kinds: str) -> None:
    """Note the fault of a header whose voxels' files are not beside it, plain and as long as it says."""
    for header in _headers(catalogue, kinds):
        detached = json.loads(header["refers"])
        for name in detached["voxels"]:
            fault = _voxels_fault(catalogue, _file_beside(header, name), detached["size"])
            if fault is not None:
                catalogue.write("UPDATE files SET fault = ? WHERE id = ?", [(fault, header["id"])])
                break


def _headers(catalogue: Catalogue, kinds: str) -> list[Entry]:
    query = f"SELECT * FROM files WHERE kind IN ({kinds}) AND refers IS NOT NULL AND reason IS NULL AND member = ''"
    return list(catalogue.select(query))


def _file_beside(header: Entry, name: str) -> str:
    return str(PurePosixPath(header["path"]).parent / name)


def _voxels_fault(catalogue: Catalogue, path: str, size: int | None) -> Reason | None:
    file = next(catalogue.select("SELECT * FROM files WHERE path = ? AND member = ''", path), None)
    if file is None:
        return Reason.MISSING_FILE
    if file["reason"] in (Reason.DUPLICATE, Reason.LEADS_OUT, Reason.NOT_REGULAR):
        return Reason.NOT_REGULAR if file["reason"] == Reason.NOT_REGULAR else Reason.LEADS_OUT
    if size is None or file["size"] == size:
        return None
    return Reason.TRUNCATED if file["size"] < size else Reason.NOT_READABLE


def settle_voxels(catalogue: Catalogue, readers: Readers) -> None:
    """Give files of voxels the outcome of the header that describes them; those of none are no images again."""
    again = "UPDATE files SET outcome = reason WHERE reason IS NOT NULL AND outcome <> reason AND kind = ?"
    catalogue.write(again, [(Kind.OTHER,)])
    kinds = ", ".join(f"'{kind}'" for kind in readers.told_by_name)
    for header in _headers(catalogue, kinds):
        paths = [_file_beside(header, name) for name in json.loads(header["refers"])["voxels"]]
        shared = "UPDATE files SET outcome = ? WHERE path = ? AND member = '' AND kind = ?"
        catalogue.write(shared, ((header["outcome"], path, Kind.OTHER) for path in paths))
