"""Who and what a cohort consists of, as headers, masks and the configuration tell, without anybody being told apart."""

from collections.abc import Mapping

from pipeline.findings.frozen_model import FrozenModel

__all__ = ["AlikePictures", "CohortRow", "Leakage", "SamePicture", "TrainingOverlap"]


class CohortRow(FrozenModel):
    """A line of the table of the cohort.

    ``counts`` are groups with their sizes over ``of`` (``patients`` or ``studies``); groups too small to be printed are
    ``small``: how many there are, and how many together, None where that is too few as well. Of a number there is
    ``median`` with the lowest and highest instead. ``not_stated`` counts those of which nothing is known.
    """

    name: str
    of: str
    counts: Mapping[str, int] = {}
    small: tuple[int, int | None] | None = None
    median: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    stated: int = 0
    not_stated: int = 0


class TrainingOverlap(FrozenModel):
    """The cohort's image files against a list of hashes of the training data.

    ``hashes`` is the length of the list and ``list_sha256`` that of its file; ``checked`` studies could be looked up,
    ``studies`` are those of which a file is on the list, of ``patients`` patients.
    """

    hashes: int
    list_sha256: str
    checked: int
    studies: tuple[str, ...]
    patients: int


class SamePicture(FrozenModel):
    """Studies in which the model was shown one and the same picture, to the last digit, of ``patients`` patients.

    ``labels_differ``: the reference says different things of it.
    """

    studies: tuple[str, ...]
    patients: int
    labels_differ: bool = False


class AlikePictures(FrozenModel):
    """Two pictures that are hardly told apart although they are not the same: copies that were stored another way.

    ``likeness`` is the correlation of what they show beside what all pictures of the cohort have in common.
    """

    studies: tuple[str, str]
    likeness: float
    patients: int
    labels_differ: bool = False


class Leakage(FrozenModel):
    """Pictures that stand under two patients or with two labels; those of one patient with one label are none.

    ``pictures`` were shown to the model and looked at, ``compared`` of them for copies: the others are of a form of
    which there are too few. ``alike`` lists the most alike of ``alike_pairs`` pairs, ``alike_across_labels`` of which
    have different labels.
    """

    pictures: int
    compared: int
    same: tuple[SamePicture, ...] = ()
    alike: tuple[AlikePictures, ...] = ()
    alike_pairs: int = 0
    alike_across_labels: int = 0
