"""Mutations of what is said of a cohort, and of the answers to criteria."""

from tests.mutants import of

COHORT, CRITERIA = "tests/pipeline/evidence/cohort/test_summary.py", "tests/pipeline/evidence/verdicts/test_criteria.py"
READERS = "tests/pipeline/evidence/verdicts/test_random_readers.py"
GROWING = "tests/pipeline/evidence/verdicts/test_open_cohort.py"

MUTANTS = [
    *of(
        "pipeline/evidence/cohort/units.py",
        ('if (entry.reader or "").startswith(CONSENSUS)] or map_scores', "if False] or map_scores"),
        ("if values:\n        return float(np.mean(values))", "if values:\n        return float(np.max(values))"),
        ("    for label in labels:", "    for label in ():"),
        ("if not (audit.masks or audit.mask_faults):", "if False:"),
        ('(label, "reference") not in explained and audit.may_show(label)', '(label, "reference") not in explained'),
        (
            '"true_positive": unit.positive and unit.predicted is not False,',
            '"true_positive": unit.positive and bool(unit.predicted),',
        ),
        ('"false_negative": unit.positive and unit.predicted is not True,', '"false_negative": unit.positive,'),
        ('"reference_positive": unit.positive,', '"reference_positive": True,'),
        ("if analysed else {}", "if True else {}"),
        ("scores.get(reader, NOT_READ) if scores", "scores.get(reader, 1.0) if scores"),
        ("if scores else self.scores[key] for", "for"),
        (
            "if entry.reader is not None and not entry.reader.startswith(CONSENSUS) and",
            "if entry.reader is not None and",
        ),
        tests=(COHORT, READERS),
    ),
    *of(
        "pipeline/evidence/cohort/measures.py",
        ("return scale.worst if score in SHOWS_NOTHING and scale.worst is not None else score", "return score"),
        ('return self.span[0] if self.better == "higher" else self.span[1]', "return self.span[1]"),
        ("if first == second else first - second", "if first == second else second - first"),
        ("difference = 0.0 if first == second else first - second", "difference = first - second"),
        ("sign = 1 if scale.better ==", "sign = -1 if scale.better =="),
        ('float("-inf") if scale.better == "higher" else', 'float("-inf") if scale.better == "lower" else'),
        ("return beyond_all if score in SHOWS_NOTHING else score", "return score"),
        ("return 0.0 if value in SHOWS_NOTHING else value", "return value"),
        ("sign = -1 if at_least else 1", "sign = 1"),
        ("return Measure(score, (low, cap), nothing)", "return Measure(score, (low, 2 * cap), nothing)"),
        ("max(low, float(capped(value, cap)))", "value"),
        ("return difference if cap is None else float(", "return difference if True else float("),
        ("width = scale.width if cap is None else cap", "width = scale.width"),
        tests=(CRITERIA, COHORT),
    ),
    *of(
        "pipeline/evidence/cohort/population.py",
        ('(reason == "empty_mask" and not unit.positive)', "False"),
        ('(reason == "empty_mask" and not unit.positive)', 'reason == "empty_mask"'),
        ("if isinstance(score, str) and _is_outside(unit, score):", "if isinstance(score, str):"),
        ("reason in _NOTHING_TO_COMPARE or", "False or"),
        ("return len(self.by_patient) - len({", "return 0 * len({"),
        tests=(COHORT, CRITERIA),
    ),
    *of(
        "pipeline/evidence/cohort/estimating.py",
        ('"value": per_patient if unit == "patient" else per_study', '"value": per_study'),
        ("if not contribution.shows_nothing]", "if True]"),
        ("if low is None or high is None:", "if False:"),
        tests=(COHORT,),
    ),
    *of(
        "pipeline/evidence/cohort/classifier.py",
        (
            "float(set(row.predicted) == set(row.reference or ()))",
            "float(set(row.predicted) >= set(row.reference or ()))",
        ),
        (
            '"specificity": lambda row, label: row.may_lack(str(label)),',
            '"specificity": lambda row, label: True,',
        ),
        ("_right[metric](row, label) if known else None)", "_right[metric](row, label) if known else 1.0)"),
        ('row.probabilities[label] if row.status == "analysed" else None', "row.probabilities.get(label, 1.0)"),
        ("[label in (row.reference or ()) for row in rows],", "[label not in (row.reference or ()) for row in rows],"),
        tests=(COHORT,),
    ),
    *of(
        "pipeline/evidence/cohort/summary.py",
        ("found=len(audits)", "found=len(analysed)"),
        ("reused=len(audits) - computed", "reused=computed"),
        ("mask_faults[fault.reason] += fault.masks", "mask_faults[fault.reason] += 1"),
        ("return dict(sorted(groups.items())) if len(groups) > 1 else {}", "return dict(sorted(groups.items()))"),
        ("for unit in units:\n        if unit.positive:", "for unit in units:\n        if True:"),
        tests=(COHORT,),
    ),
    *of(
        "pipeline/evidence/verdicts/judging.py",
        ('judge_p_values(p_met, p_not, "all", confidence)', 'judge_p_values(p_met, p_not, "any", confidence)'),
        (
            "[1.0 if _barred(part, alpha) else float(part.p_met or 0.0) for part in parts]",
            "[float(part.p_met or 0.0) for part in parts]",
        ),
        ('share if claim.side == "at_least" else 1 - share', "share"),
        ("if growing:\n", "if False:\n"),
        ("2 * min(first.p_high, second.p_low)", "0.01 * min(first.p_high, second.p_low)"),
        ("p_met = max(first.p_low, second.p_high)", "p_met = min(first.p_low, second.p_high)"),
        ('"p_met": low if result.claim.side == "at_least" else high', '"p_met": low'),
        tests=(CRITERIA, GROWING),
    ),
    *of(
        "pipeline/evidence/verdicts/criteria.py",
        ("        if fault is not None:", "        if False:"),
        ("            if name not in known:", "            if False:"),
        ("replace(bootstrap, confidence=criterion.confidence)", "bootstrap"),
        (
            'if scale.better == "higher" else ("at_most", -gain, (-width, width))',
            'if True else ("at_most", -gain, (-width, width))',
        ),
        ("label in (None, unit.target)", "True"),
        ("return tuple(labels) if len(labels) > 1 else (None,)", "return (None,)"),
        ("-(criterion.margin or 0.0)", "(criterion.margin or 0.0)"),
        ('if verdict.answer == "MET" and not reaches(p, verdict.alpha):', "if False:"),
        (
            "auroc_estimate(areas, group, bootstrap, (result.low, result.high))\n        return part_of(of[0], None, e",
            "auroc_estimate(areas, group, bootstrap)\n        return part_of(of[0], None, e",
        ),
        ('if criterion.statistic == "mean" or cohort.first_seen is not None or part.p_met is None:', "if True:"),
        (
            "adjusted = holm([",
            "adjusted = list([",
        ),
        (
            "if cohort.first_seen is not None:\n        result = judge_growing_area",
            "if False:\n        result = judge_growing_area",
        ),
        ("criterion.confidence, criterion.missing_at_most)", "criterion.confidence, 1.0)"),
        tests=(CRITERIA, GROWING),
    ),
    *of(
        "pipeline/evidence/verdicts/open_cohort.py",
        ("if first_seen[part.study] == by_patient[part.patient]]", "if True]"),
        ("counted.sort(key=lambda part: (by_patient[part.patient], part.patient, part.study))", "pass"),
        ("spent = number * (number + 1)", "spent = 1"),
        ("if size == len(arrived) and size < FIRST_LOOK:", "if False:"),
        ("low, high = max(low, at_look.low), min(high, at_look.high)", "low, high = at_look.low, at_look.high"),
        ("claim=claim, low=low, high=high, p_low=p_low", "claim=claim, p_low=p_low"),
        tests=(GROWING,),
    ),
    *of(
        "pipeline/evidence/cohort/readers.py",
        ("np.full((len(readers), len(patients)), end)", "np.full((len(readers), len(patients)), span[1])"),
        (
            "low[number, own], high[number, own] = scores.low, scores.high",
            "low[number, own], high[number, own] = scores.high, scores.high",
        ),
        ("if means and all(means) else None", "if means else None"),
        tests=(READERS,),
    ),
    *of(
        "pipeline/evidence/verdicts/random_readers.py",
        ("    if growing:\n", "    if False:\n"),
        ("    if len(readers) < FEWEST_READERS:\n", "    if len(readers) < 2:\n"),
        ('Claim("at_most", claim.bound, claim', 'Claim("at_most", 1.0, claim'),
        tests=(READERS,),
    ),
    *of(
        "pipeline/runs/reuse.py",
        ("if read_spec(run).lock.digest == lock.digest:", "if True:"),
        ("trust.holds(run, SPEC_FILE) and trust.holds(run, COHORT_FILE)", "True"),
        tests=(
            "tests/pipeline/runs/test_run.py::test_a_growing_cohort_knows_which_run_saw_a_study_first",
            "tests/pipeline/runs/test_run.py::test_an_altered_cohort_tells_nothing_of_who_was_seen_first",
        ),
    ),
]
