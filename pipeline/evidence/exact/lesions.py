"""Lesions and marks: what each patient contributes. Lesions of a patient resemble each other; patients do not.

Sensitivity is the mean over patients of the share of their lesions that were hit. False marks have no upper end, so the
share of images with at most so many is judged. Sensitivity pooled over all lesions is for reading only: a patient with
many lesions would decide it.
"""

from collections.abc import Sequence

from pipeline.evidence.exact.scores import PatientScores, PatientUnit, patient_scores

__all__ = ["few_false_marks", "lesion_scores", "pooled_sensitivity"]


def lesion_scores(hits: Sequence[bool | None], patients: Sequence[str]) -> PatientScores:
    """Gather, by patient, the share of lesions that were hit.

    Args:
        hits: (lesions,) whether each was hit; None where its study has no map. A lesion outside the model's field of
            view was not hit. Patients without a lesion have no place here.
        patients: (lesions,) whose lesion it is.
    """
    return patient_scores([None if hit is None else float(hit) for hit in hits], patients)


def few_false_marks(
    marks: Sequence[int | None], patients: Sequence[str], *, at_most: int, unit: PatientUnit = "patient"
) -> PatientScores:
    """Gather, by patient, the share of images with at most ``at_most`` false marks.

    Args:
        marks: (images,) how many marks hit no lesion; None where the image has no map.
        patients: (images,) whose image it is.
        at_most: the locked number.
        unit: what the estimate is a mean over.

    Raises:
        ValueError: a number of marks is negative.
    """
    for number, count in enumerate([at_most, *marks]):
        if count is not None and count < 0:
            where = "at_most" if number == 0 else f"marks[{number - 1}]"
            raise ValueError(f"{where} is a number from 0 on, not {count}")
    return patient_scores([None if count is None else float(count <= at_most) for count in marks], patients, unit=unit)


def pooled_sensitivity(hits: Sequence[bool | None]) -> float | None:
    """Return the share of all lesions with a map that were hit; None without any. For reading, not for judging."""
    known = [hit for hit in hits if hit is not None]
    return sum(known) / len(known) if known else None
