"""Slips in how a large cohort's columns are gathered, laid aside and read back."""

from tests.mutants import of

ROWS = "tests/pipeline/conclusions/test_study_rows.py"
READERS = ("tests/pipeline/conclusions/test_gathered.py", "-k", "readers_own or no_room or without_room")
FROC = "tests/pipeline/evidence/plotted/test_froc.py"
SHARES = "tests/pipeline/evidence/plotted/test_region_shares.py"
LABELS = "tests/pipeline/evidence/plotted/test_label_plots.py"
PLANS = "tests/pipeline/evidence/verdicts/test_plans.py"

MUTANTS = [
    *of(
        "pipeline/conclusions/study_rows.py",
        ("self._rows[self._few :], protocol", "self._rows[: self._few], protocol"),
        ("            del self._rows[self._few :]\n", ""),
        ("            self._maker = RowMaker()  # what the block shares is with the block\n", ""),
        ("len(self._rows) + _BLOCK * len(self._blocks)", "len(self._rows)"),
        ("divmod(place - self._few, _BLOCK)", "divmod(place, _BLOCK)"),
        ("if self._open[0] != number:", "if self._open[0] < 0:"),
        tests=(ROWS,),
    ),
    *of("pipeline/packed/on_demand.py", ("self._item(range(len(self))[place])", "self._item(place)"), tests=(ROWS,)),
    *of(
        "pipeline/evidence/columns/store.py",
        ("            self._file.seek(start)\n            self._file.write", "            self._file.write"),
        ("        self._end += len(data)\n", ""),
        ("        self._file.seek(start)\n        data: bytes", "        data: bytes"),
        ("raise OutputError(f", "raise OSError(f"),
        tests=(ROWS, *READERS[:1], "-k", "rows or room"),
    ),
    *of(
        "pipeline/evidence/cohort/units.py",
        ("missing = rows - self._kept - len(self._codes)", "missing = rows - len(self._codes)"),
        ("        self._kept += len(self._codes)\n", ""),
        ("zip(*self._blocks, strict=True)", "zip(*self._blocks[::-1], strict=True)"),
        ("for block in blocks), _as_array(last, code)])", "for block in blocks)])"),
        ("        self._studies += 1\n", ""),
        tests=READERS,
    ),
    *of(
        "pipeline/evidence/columns/unit_table.py",
        ("partial(self._read_by, reader, key)", "partial(self._read_by, '', key)"),
        tests=("tests/pipeline/evidence/columns",),
    ),
    *of(
        "pipeline/evidence/cohort/map_rows.py",
        ("if self.present and label not in (audit.reference or ()):", "if label not in (audit.reference or ()):"),
        tests=(FROC,),
    ),
    *of(
        "pipeline/evidence/cohort/map_rows.py",
        ("offset=4 * self.shape[0]", "offset=0"),
        ("            row -= block.shape[0]\n", ""),
        tests=("tests/pipeline/evidence/cohort/test_map_rows.py",),
    ),
    *of(
        "pipeline/evidence/plotted/region_shares.py",
        ("np.where(self.marked.mask[every], np.uint8(len(names)), self.labels.numbers)", "self.labels.numbers"),
        ("weights[self.every].ravel()", "weights.ravel()[: self.numbers.size]"),
        (
            "np.append(0, np.flatnonzero(flat[1:] != flat[:-1]) + 1)",
            "np.append(0, np.flatnonzero(flat[1:] != flat[:-1]))",
        ),
        tests=(SHARES,),
    ),
    *of(
        "pipeline/evidence/plotted/label_plots.py",
        ("                missing += 1\n", ""),
        ("if audit.study in shown and label in audit.mapped:", "if audit.study in shown:"),
        ("        if inside[place]\n", ""),
        ("np.isin(own.study, answers.study[inside])", "np.isin(own.study, np.flatnonzero(inside))"),
        ("len(np.unique(answers.patient[inside]))", "int(inside.sum())"),
        ("(answers.called == called)", "True"),
        tests=(LABELS,),
    ),
    *of(
        "pipeline/evidence/verdicts/plans.py",
        ("if self.judged is not None and metric in self.tuned else self", "if self.judged is not None else self"),
        tests=(PLANS,),
    ),
]
