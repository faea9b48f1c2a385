"""What could go wrong, or be bent, in thresholds, lesions and other patients' masks."""

from tests.mutants import Mutant, of

__all__ = ["MUTANTS"]

MUTANTS: list[Mutant] = [
    *of(
        "pipeline/evidence/localisation/region_counts.py",
        ('side="right"', 'side="left"'),
        ("    if evidence.degenerate:", "    if False:"),
        ("if not counts.mask or", "if"),
        ("counts.seen == counts.visible)", "False)"),
        ("common / (region + counts.mask - common)", "common / (region + counts.mask)"),
        ("2 * common / (region + counts.mask)", "common / (region + counts.mask)"),
        ("np.divide(common, region, out", "np.divide(common, counts.mask, out"),
        ("return common / counts.mask", "return common / counts.visible"),
        ("(region - common) / (counts.seen - counts.visible)", "(region - common) / counts.seen"),
        tests=("tests/pipeline/evidence/localisation/test_region_counts.py",),
    ),
    *of(
        "pipeline/evidence/localisation/curves.py",
        ("if label in (audit.reference or ())", ""),
        ("[label, name, metric].append((audit.patient,", "[label, name, metric].append((audit.study,"),
        ("label if several else None", "label"),
        ("np.mean(defined, axis=0)", "np.max(defined, axis=0)"),
        tests=("tests/pipeline/evidence/localisation/test_curves.py",),
    ),
    *of(
        "pipeline/evidence/cohort/bootstrap.py",
        ("[weights @ means / len(means) for", "[weights[:, ::-1] @ means / len(means) for"),
        ("    if len(means) < MINIMUM_PATIENTS:", "    if False:"),
        tests=("tests/pipeline/evidence/localisation/test_curves.py",),
    ),
]
