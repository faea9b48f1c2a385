"""Slips in how parts of a cohort are held against the rest: who is in a group, what weighs, what is corrected."""

from tests.mutants import of

GROUPS = "tests/pipeline/evidence/cohort/test_group_differences.py"
ANSWERS = "tests/pipeline/evidence/cohort/test_answer_differences.py"
FAST = "not seldom and not fishers and not rounding and not many_kinds and not count_of"
EVERY_PYTHON = "tests/pipeline/evidence/test_every_python_sums_alike.py"

MUTANTS = [
    *of(
        "pipeline/evidence/groups/group_differences.py",
        ("positive = units.among(_AMONG)", "positive = units"),
        (
            "for column, groups in _columns(positive).items() if len(groups) > 1}",
            "for column, groups in _columns(positive).items()}",
        ),
        ("for group in (groups if len(groups) > 2 else", "for group in (groups if len(groups) > 1 else"),
        ("dict(sorted(groups.items())) for column", "groups for column"),
        ("for name, own in groups.items() if name != group])", "for name, own in groups.items()])"),
        ("shared = len(np.intersect1d(first.patient, second.patient))", "shared = 0"),
        ('"patients": len(first.patient_means()), "patients_rest"', '"patients": len(first), "patients_rest"'),
        ('"patients_rest": len(second.patient_means())', '"patients_rest": len(second)'),
        ("    if not len(first.scored) or not len(second.scored):", "    if not len(first.scored):"),
        ('empty = "this group" if not len(first.scored) else', 'empty = "this group" if not len(second.scored) else'),
        ("    difference = own - rest\n", "    difference = rest - own\n"),
        ("    if low is None or high is None:", "    if low is None:"),
        ("    if low is None or high is None:", "    if high is None:"),
        ("second.scores((low, high)), confidence=confidence)", "second.scores((low, high)))"),
        (
            "    return sum_in_order(means.tolist()) / len(means)",
            "    return sum_in_order(population.scored.tolist()) / len(population.scored)",
        ),
        ("cohort.n_patients - cohort.n_missing for", "cohort.n_patients for"),
        ("cohort.area(cohort.share) for", "cohort.area(np.ones(len(cohort.share))) for"),
        ("min(*first.class_patients, *second.class_patients)", "min(first.class_patients)"),
        ("min(*first.class_patients, *second.class_patients)", "min(second.class_patients)"),
        ("or fewest < SMALLEST_GROUP:", "or fewest <= SMALLEST_GROUP:"),
        ("or fewest < SMALLEST_GROUP:", ":"),
        ("    value = own - rest\n", "    value = rest - own\n"),
        (
            "area_difference(first, second, confidence=confidence",
            "area_difference(second, first, confidence=confidence",
        ),
        ("area_difference(first, second, confidence=confidence, draws", "area_difference(first, second, draws"),
        ('"family": len(p_values)', '"family": len(differences)'),
        ("adjusted = iter(holm(p_values))", "adjusted = iter(p_values)"),
        tests=(GROUPS, ANSWERS, "-k", FAST),
    ),
    *of(
        "pipeline/evidence/groups/answer_differences.py",
        ("SPANS.get(metric, _SPAN), confidence", "_SPAN, confidence"),
        ("lambda audit: audit.reference is not None)", "lambda audit: True)"),
        ("np.intersect1d(patients[own], patients[rest])", "np.intersect1d(own, rest)"),
        ("for name, code in numbers.items() if name is not None}", "for name, code in numbers.items()}"),
        ("        names = sorted(rows)\n", "        names = list(rows)\n"),
        ("names if len(names) > 2 else", "names if len(names) > 1 else"),
        ("for name in names if name != group])", "for name in names])"),
        ('if metric == "sensitivity" and label is not None:', "if label is not None:"),
        ("audit.strata.get(name) or _NOT_STATED", "audit.strata.get(name)"),
        (
            "for name in dict.fromkeys(name for audit in audits for name in audit.strata):",
            "for name in audits[0].strata:",
        ),
        ("owners.add(audit.patient)", "owners.add(audit.study)"),
        (
            "for value, owners in patients.items() if len(owners) < SMALLEST_GROUP}",
            "for value, owners in patients.items() if len(owners) <= SMALLEST_GROUP}",
        ),
        ("if len(together) >= SMALLEST_GROUP else None", "if len(together) > SMALLEST_GROUP else None"),
        ("if len(together) >= SMALLEST_GROUP else None", "if together else None"),
        (
            "        value = audit.facts.get(fact) or _NOT_STATED\n        return other",
            "        value = audit.facts.get(fact)\n        return other",
        ),
        ("np.quantile(known, [1 / 3, 2 / 3])", "np.quantile(known, [1 / 4, 3 / 4])"),
        ("len(np.unique(known)) >= len(_THIRDS)", "len(np.unique(known)) > len(_THIRDS)"),
        ("len(np.unique(known)) >= len(_THIRDS)", "len(known) >= len(_THIRDS)"),
        ("(values[row] > cuts).sum()", "(values[row] >= cuts).sum()"),
        ("return None if np.isnan(values[row]) or not len(cuts)", "return None if not len(cuts)"),
        ("    return min((max(share, 1 - share)", "    return max((max(share, 1 - share)"),
        ("max(share, 1 - share)", "share"),
        tests=(ANSWERS,),
    ),
    *of(
        "pipeline/evidence/sums.py",
        ("return reduce(add, values, 0.0)", "return sum(values)"),
        tests=(EVERY_PYTHON,),
    ),
    *of(
        "pipeline/evidence/ranks.py",
        ("(counts - 1) / 2)[inverse]", "counts / 2)[inverse]"),
        ("values.ravel(), return_inverse", "-values.ravel(), return_inverse"),
        tests=("tests/pipeline/evidence/test_planes.py",),
    ),
]
