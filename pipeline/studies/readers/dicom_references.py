"""Which images a DICOM mask was drawn on, by the instances that it names."""

from pydicom import Dataset

from pipeline.errors import Reason
from pipeline.studies.readers.base import ImageFile, refused

__all__ = ["check_references", "items"]


def items(dataset: Dataset, name: str) -> list[Dataset]:
    """Return the items of a sequence; none when it is absent or empty."""
    return list(dataset.get(name) or ())


def check_references(named: set[str], image: ImageFile) -> None:
    """Refuse a mask that names other images only; on a projection nothing else ties the two together.

    Raises:
        StudyError: OTHER_IMAGE, excluded, with the number of images named.
    """
    has_to_name = len(image.volume.geometry.shape) == 2 or (named and image.instances)
    if has_to_name and not named & image.instances:
        message = f"the mask names {len(named)} images, and the study's image is none of them"
        raise refused(Reason.OTHER_IMAGE, message, excluded=True)
