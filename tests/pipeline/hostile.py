"""A reader that some studies harm. A module of its own: the worker that imports it must not load torch."""

import os

import numpy as np

from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import StudyRow, read_study
from pipeline.studies.readers.shared.base import ReadOptions
from pipeline.studies.study import Study


def hostile(row: StudyRow, pseudonyms: Pseudonyms, options: ReadOptions, **how: object) -> Study:
    """Read a study as ``read_study`` does, with some whose decoder does its worst."""
    if row.study == "study01":
        os._exit(7)
    if row.study == "study02":
        while True:
            pass
    if row.study == "study03":
        np.zeros(10**12, dtype=np.uint8)
    return read_study(row, pseudonyms, options, **how)


def deadly_mask(row: StudyRow, pseudonyms: Pseudonyms, options: ReadOptions, **how: object) -> Study:
    """Read a study as ``read_study`` does, but for one reader's mask of one study, which ends the process."""
    if row.study == "study00" and any(mask.reader == "ben" and mask.refused is None for mask in row.masks):
        os._exit(7)
    return read_study(row, pseudonyms, options, **how)


def deadly_together(row: StudyRow, pseudonyms: Pseudonyms, options: ReadOptions, **how: object) -> Study:
    """Read a study as ``read_study`` does, but for one whose masks are too much for the process together."""
    if row.study == "study00" and sum(mask.refused is None for mask in row.masks) > 1:
        os._exit(7)
    return read_study(row, pseudonyms, options, **how)


def buggy(row: StudyRow, pseudonyms: Pseudonyms, options: ReadOptions, **how: object) -> Study:
    """Read a study as ``read_study`` does, but for one that our own code stumbles over."""
    if row.study == "study01":
        raise KeyError("SECRET^PETER")
    return read_study(row, pseudonyms, options, **how)
