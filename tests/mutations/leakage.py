"""Mutations of what tells copies apart, and of the share of evidence in regions to avoid."""

from tests.mutants import of

LEAKAGE = "tests/pipeline/evidence/cohort/test_leakage.py"

MUTANTS = [
    *of(
        "pipeline/evidence/cohort/leakage.py",
        ("if patients > 1 or labels > 1:", "if patients > 1:"),
        ("if patients > 1 or labels > 1:", "if labels > 1:"),
        ("if patients > 1 or labels > 1:", "if True:"),
        ("_sketch(self.audits[place]) - self.mean", "_sketch(self.audits[place])"),
        ("if _digest(pair[0]) != _digest(pair[1]) and (", "if ("),
        ("pair[0].patient != pair[1].patient or differ", "True"),
        ("pair[0].patient != pair[1].patient or differ", "differ"),
        ("if audit.reference is not None})", "})"),
        ("-pair.likeness", "pair.likeness"),
        (" if len(places) >= FEWEST_PICTURES]", "]"),
        tests=(LEAKAGE,),
    ),
    *of(
        "pipeline/evidence/cohort/close_pairs.py",
        ("np.float32(lowest - _ROUNDING)", "np.float32(lowest + 0.01)"),
        ("least - 0.0005\n", "least + 0.01\n"),
        ("1 - math.acos(lowest) / math.pi", "1 - 0.2 * math.acos(lowest) / math.pi"),
        ("np.setdiff1d(np.concatenate([known[:0], *pairs]), known)", "np.concatenate([known[:0], *pairs])"),
        ("known = np.union1d(known, fresh)", "known = fresh"),
        ("ahead += 1", "ahead += 2"),
        ("return np.append(along, left)", "return np.append(along, 0.0 * left)"),
        ("first[first < second], second[first < second]", "first, second"),
        ("np.flatnonzero(products >= least)", "np.flatnonzero(products > 0)"),
        ("for left in range(start, len(parts), _COLUMNS):", "for left in (start,):"),
        tests=("tests/pipeline/evidence/cohort/test_close_pairs.py",),
    ),
    *of(
        "pipeline/evidence/sketch.py",
        ("repr(x.shape).encode()", 'b""'),
        ('cells - uniform_filter(cells, 3, mode="nearest")', "cells"),
        ("_FLAT * max(largest, 1e-30)", "-1"),
        ("dtype=np.float64) / (end - start)", "dtype=np.float64)"),
        ("-(-np.arange(count + 1) * side // count)", "np.arange(count + 1) * side // count"),
        ("np.stack(cells, axis=-1)", "np.stack(cells, axis=0)"),
        tests=(LEAKAGE,),
    ),
    *of(
        "pipeline/evidence/metrics/avoided.py",
        ("if not overlap.mask_voxels:", "if False:"),
        ("elif not overlap.visible_voxels:", "elif False:"),
        ("elif evidence.degenerate or", "elif False or"),
        ("overlap.visible_voxels / evidence.seen_voxels if", "overlap.mask_voxels / evidence.seen_voxels if"),
        ('better="lower"', 'better="higher"'),
        tests=("tests/pipeline/walk/test_regions_to_avoid.py",),
    ),
    *of(
        "pipeline/evidence/cohort/leakage.py",
        ("total / len(places)", "total"),
        ("return own / length if", "return own if"),
        tests=(LEAKAGE,),
    ),
    *of(
        "pipeline/evidence/metrics/avoided.py",
        ("overlap.marked_total / evidence.total", "overlap.marked_total / evidence.seen_voxels"),
        tests=("tests/pipeline/walk/test_regions_to_avoid.py",),
    ),
]
