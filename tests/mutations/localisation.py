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
    *of(
        "pipeline/evidence/localisation/mask_shapes.py",
        ("return longer / shorter, max(", "return shorter / longer, max("),
        ("column in (first - 0.5, last + 0.5)", "column in (first, last)"),
        ("np.eye(3) / 12", "np.eye(3) * 0"),
        ("edges @ spread @ edges.T", "spread"),
        ("np.linalg.qr(_edges(geometry))[1].T", "np.eye(2)"),
        ("np.argmin(lengths.prod(axis=0))", "0"),
        ("np.argmax(pieces.voxels)", "1"),
        ("if geometry.scaled else None", ""),
        ("voxels / mask.array.size", "voxels / len(mask.array)"),
        tests=("tests/pipeline/evidence/localisation/test_mask_shapes.py",),
    ),
    *of(
        "pipeline/evidence/localisation/lesion_strata.py",
        ("if label in (audit.reference or ())", "if True"),
        ("or marked\n", "and marked\n"),
        ("and shape.lesions]", "]"),
        ("len(axes[label]) == 1\n", "True\n"),
        ("value > cut for cut", "value >= cut for cut"),
        ("value <= cuts[0]", "value < cuts[0]"),
        ("if name not in BASELINES", ""),
        ("pairs[unit.patient]", "pairs[unit.study]"),
        ("rankdata(means, axis=0)", "means"),
        ("(1 + rho**2 / 2)", "1"),
        tests=("tests/pipeline/evidence/localisation/test_lesion_strata.py",),
    ),
]
