"""Mutations of what is tried on the model: sanity, the shortcut battery with its noise, stability, finer blocks."""

from tests.mutants import of

TESTS = "tests/pipeline/evidence"
CHANGES, RULE = f"{TESTS}/shortcuts/test_changes.py", f"{TESTS}/shortcuts/test_rule.py"
FINDINGS, FINER = f"{TESTS}/shortcuts/test_findings.py", f"{TESTS}/faithfulness/test_finer.py"
SANITY, ALIKE, STABLE = (
    f"{TESTS}/sanity/test_rules.py",
    f"{TESTS}/sanity/test_similarity.py",
    f"{TESTS}/stability/test_rules.py",
)
OTHERWISE, ITEMS = (
    "tests/pipeline/experiments/test_stability.py",
    "tests/pipeline/conclusions/test_reporting_items.py",
)
COSTS = "tests/pipeline/checks/test_estimate.py"

MUTANTS = [
    *of(
        "pipeline/evidence/sanity/rules.py",
        ("REPEATS: Final = 0.99", "REPEATS: Final = 0.90"),
        ("SAME_PLACE: Final = 0.95", "SAME_PLACE: Final = 0.99"),
        ("SAME_WEIGHTS: Final = 0.85", "SAME_WEIGHTS: Final = 0.95"),
        ('if side == "at_least" else figure.value <= bound', 'if side == "at_least" else figure.value >= bound'),
        (
            "rows.weights.redrawn < rows.weights.values:\n        return _weights_kept",
            "False:\n        return _weights_kept",
        ),
        ("if figure.studies < FEWEST_MAPS:", "if False:"),
        tests=(SANITY,),
    ),
    *of(
        "pipeline/evidence/sanity/similarity.py",
        ('return "empty_after", 0.0', 'return "empty_after", 1.0'),
        ("cells = np.abs(cells)", "pass"),
        tests=(ALIKE,),
    ),
    *of(
        "pipeline/evidence/ranks.py",
        ("(np.cumsum(counts) - (counts - 1) / 2)[inverse]", "np.cumsum(counts)[inverse]"),
        tests=(ALIKE,),
    ),
    *of(
        "pipeline/evidence/shortcuts/texture.py",
        ("_BLUR = 2.5", "_BLUR = 0.7"),
        ("_LIMIT = 4.0", "_LIMIT = 400.0"),
        ("_STRUCTURE * quiet / np.maximum(variance, quiet)", "1.0"),
        ("_BLUR * step / max(ruler.steps)", "_BLUR"),
        ("beyond = np.where(tissue, channel - mean, 0)", "beyond = channel - mean"),
        ("variance[tissue][variance[tissue] > 0]", "variance[tissue]"),
        ("_FEWEST = 200", "_FEWEST = 1"),
        (")) / voxels", "))"),
        ("np.flatnonzero(filled), means[filled > 0]", "np.flatnonzero(filled) + 1, means[filled > 0]"),
        ("np.sqrt(np.clip(donor - own, 0, None))", "np.clip(donor - own, 0, None)"),
        ("np.sqrt(np.clip(share, 0, 1))", "np.sqrt(share)"),
        ("np.sqrt(np.clip(share, 0, 1))", "np.ones_like(share)"),
        ("np.where(tissue, channel - mine + swapped, channel)", "channel - mine + swapped"),
        ("np.where(tissue, channel - mine + swapped, channel)", "np.where(tissue, channel + swapped, channel)"),
        ("int(np.sqrt(tissue.ndim) / 2 * _BINS + 0.5) + 1", "_BINS"),
        tests=(CHANGES,),
    ),
    *of(
        "pipeline/evidence/shortcuts/transplants.py",
        ("body = body & ~grown(lesion, 1, self.study.ruler)", "pass"),
        ("study.positive and study.lesion is None for study in (own.study, donor.study)", "False for _ in ()"),
        ("in (own.study, donor.study)", "in (own.study,)"),
        tests=(CHANGES,),
    ),
    *of(
        "pipeline/evidence/shortcuts/naming.py",
        ("and test.effect >= settings.minimum_effect", "and test.effect >= 0"),
        ("test.p_adjusted <= settings.alpha", "test.p_adjusted <= 1"),
        ('flagged.pop("outside", None)', "pass"),
        ("_SECOND * flagged[largest[0]]", "0"),
        ("return -moved if row.test in TRANSPLANTS and not row.positive else moved", "return moved"),
        tests=(RULE,),
    ),
    *of(
        "pipeline/evidence/shortcuts/naming.py",
        ("classes.auroc < settings.minimum_auroc", "False"),
        tests=(FINDINGS,),
    ),
    *of(
        "pipeline/evidence/shortcuts/rules.py",
        ("effects[finding.named[0]] if finding.named else max", "max"),
        ("key=lambda own: -_effect(own.finding)", "key=lambda own: _effect(own.finding)"),
        ("if 2 * filled.changed > filled.of:", "if True:"),
        ("if untested:", "if False:"),
        ('and answer != "INCONCLUSIVE"', ""),
        tests=(FINDINGS,),
    ),
    *of(
        "pipeline/evidence/stability/rules.py",
        ("HOLDS: Final = 0.50", "HOLDS: Final = 0.20"),
        ("row.same_answer and row.similarity is not None", "row.similarity is not None"),
        ("if len(kept) < FEWEST_ANSWERS:", "if False:"),
        ('_of(rows, method, "noise")', '_of(rows, method, "shift")'),
        tests=(STABLE,),
    ),
    *of(
        "pipeline/evidence/stability/rules.py",
        ("if len(set(pairs)) < len(pairs)", "if False"),
        ("len({study for pair in own for study in pair.studies})", "len(own)"),
        tests=(OTHERWISE,),
    ),
    *of(
        "pipeline/experiments/prepared_otherwise.py",
        ("_COARSER * size if isinstance", "size if isinstance"),
        ("and size > 0 else size", "else size"),
        ('if mode in ("nearest", "nearest-exact", 0):', "if False:"),
        tests=(OTHERWISE,),
    ),
    *of(
        "pipeline/experiments/stability.py",
        ("if not bench.settings(StabilityConfig).common_frame:", "if False:"),
        ("np.round(study.grid.affine, 3).tobytes()", "0"),
        ("if first.label == second.label:", "if True:"),
        tests=(OTHERWISE,),
    ),
    *of(
        "pipeline/evidence/faithfulness/finer.py",
        ("max(1, grid.blocks // _FIRST)", "grid.blocks"),
        ("2 if side >= 2 * count else 1", "2"),
        ("torch.ones_like(of_blocks[:, :1])", "torch.zeros_like(of_blocks[:, :1])"),
        ("len(chosen) >= FEWEST_BLOCKS", "True"),
        ("areas[1 + RANDOM_ORDERS] if own is not None", "areas[0] if own is not None"),
        ("whole * count + halves[:, axis] // factor", "whole * count + halves[:, axis]"),
        tests=(FINER,),
    ),
    *of(
        "pipeline/checks/experiment_cost.py",
        ("3 * studies + plan.draws", "2 * studies + plan.draws"),
        ("* settings.finer_look", "* 0"),
        ("(1 + settings.second_look)", "1"),
        ("- (config.model.negative_label in config.model.labels)", ""),
        tests=(COSTS,),
    ),
    *of(
        "pipeline/conclusions/reporting_items.py",
        ("if estimate.group is None:", "if True:"),
        ('None if finding.value is None and finding.answer == "INCONCLUSIVE" else finding.answer', "finding.answer"),
        ("locked=not results.lock.exploratory", "locked=True"),
        tests=(ITEMS,),
    ),
]
