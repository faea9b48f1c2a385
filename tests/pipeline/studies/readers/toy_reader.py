"""A format that nobody has: eight bytes of magic, three sizes, then bytes; 1 mm voxels. A third party's reader."""

from pathlib import Path

import numpy as np

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers import ImageFile, MaskFile, ReaderFacts
from pipeline.studies.readers.shared.base import carry, first_bytes, refused, volume_of

FACTS = ReaderFacts(
    title="toy", kind="toy", reads="both", endings=(".toy",), magic=((0, b"TOYTOY01"),), told_by_name=True
)


def accepts(path: Path) -> bool:
    return FACTS.begins(first_bytes(path, 8))


def _load(path):
    content = path.read_bytes()
    shape = tuple(content[8:11])
    if len(content) != 11 + int(np.prod(shape)):
        raise refused(Reason.TRUNCATED, "the toy file has another number of bytes than its sizes say")
    return np.frombuffer(content[11:], np.uint8).reshape(shape), Geometry(shape, np.eye(4))


def check_header(head, size):
    if size != 11 + int(np.prod(tuple(head[8:11]))):
        raise refused(Reason.TRUNCATED, "the toy file has another number of bytes than its sizes say")


def read(path, options):
    values, geometry = _load(path)
    return ImageFile(volume_of(values, geometry))


def read_mask(path, image, wanted):
    values, geometry = _load(path)
    return MaskFile(carry(values > 0, geometry, image.volume.geometry))


def write(path, array):
    path.write_bytes(b"TOYTOY01" + bytes(array.shape) + array.astype(np.uint8).tobytes())
    return path


def examples(folder):
    """Return files of the format, for the generic checks."""
    array = np.zeros((4, 5, 6))
    array[1, 2, 3] = 1
    return [write(folder / "example.toy", array)]
