"""Mutations of what a wrong answer adds: its map's role, its cell, its place."""

from tests.mutants import of

ANSWERS, CELLS = "tests/pipeline/evidence/test_answers.py", "tests/pipeline/evidence/cohort/test_confusion.py"
PLACEMENT, WALK = "tests/pipeline/evidence/test_placement.py", "tests/pipeline/walk/test_answers.py"
KEPT, CHECKS = "tests/pipeline/runs/test_answers_kept.py", "tests/pipeline/checks/test_cells_of_criteria.py"

MUTANTS = [
    *of(
        "pipeline/evidence/answers.py",
        ("is not None and present else ()", "is not None else ()"),
        ("not None:\n        return ()\n    present", "not None and False:\n        return ()\n    present"),
        ("for label in called if label not in present", "for label in called"),
        ("label != model.negative_label and label not in predicted", "label not in predicted"),
        ("if not set(_BY_STUDY) & set(config.explain.targets):", "if False:"),
        ("if not lost or config.model.has_independent_labels:", "if not lost:"),
        ("(*roles.get(label, ()), ", "("),
        tests=(ANSWERS,),
    ),
    *of(
        "pipeline/evidence/cohort/units.py",
        ('if (label, "answered") not in explained:', "if False:"),
        ("if (entry.target, entry.target_role) == of:", "if entry.target == of[0]:"),
        tests=(CELLS,),
    ),
    *of(
        "pipeline/evidence/cohort/confusion.py",
        ("answer = next(iter(called), negative)", "answer = negative"),
        ("if present or is_called", "if present"),
        ("return unit.positive and unit.target == cell.reference", "return False"),
        ("if unit.role != role or label", "if label"),
        ("unanswered=unanswered", "unanswered=0"),
        ('if audit.status != "analysed":', "if False:"),
        ("self.values.extend([nan] * missing)", "self.values.extend([0.5] * missing)"),
        ('answered_map=of("answered")', 'answered_map=of("reference")'),
        tests=(CELLS,),
    ),
    *of("pipeline/evidence/cohort/population.py", ("        NO_FINDING,\n", ""), tests=(CELLS,)),
    *of(
        "pipeline/evidence/cohort/summary.py",
        ('    units = units.among("all")\n', ""),
        tests=(CELLS,),
    ),
    *of(
        "pipeline/evidence/placement.py",
        ("places.mean(axis=1)", "places.max(axis=1)"),
        ("(body.array > _INSIDE)", "(body.array >= _INSIDE)"),
        ("body if evidence.seen_everywhere else body.among(evidence.heatmap.seen)", "body"),
        ("np.array(shape) - 1, 1)", "np.array(shape), 1)"),
        ("if evidence.degenerate:", "if False:"),
        tests=(PLACEMENT,),
    ),
    *of(
        "pipeline/walk/measuring.py",
        ("if mask.label in findings and mask.reader not in faults:", "if mask.reader not in faults:"),
        ("mask.label in findings and mask.reader not in faults", "mask.label in findings"),
        ("if len(masks) == 1 else np.logical_or.reduce([mask.array for mask in masks])", ""),
        ("    if not findings:", "    if False:"),
        ("if evidence.heatmap.method not in BASELINES:", "if True:"),
        tests=(WALK,),
    ),
    *of(
        "pipeline/walk/explaining.py",
        ("return _apart if formulas and judged else _by_reference", "return _by_reference"),
        ("_once_answered if known or reference is not None else _only_answered", "_once_answered"),
        ("groups.setdefault((known, how), [])", "groups.setdefault((True, how), [])"),
        ("if label not in known} for all_labels", "} for all_labels"),
        tests=(WALK,),
    ),
    *of("pipeline/conclusions/gathered.py", (' and entry.target_role == "reference"]', "]"), tests=(KEPT,)),
    *of("pipeline/verify/rows.py", ("stated != _roles(run.spec.config, audit)", "False"), tests=(KEPT,)),
    *of("pipeline/runs/model_side/pictures.py", ("    for label in answered:", "    for label in ():"), tests=(KEPT,)),
    *of(
        "pipeline/checks/rules/criteria.py",
        ("if cell.reference in (model.negative_label, *words):", "if False:"),
        ("elif model.has_independent_labels and cell.answered not in (cell.reference, NOTHING):", "elif False:"),
        ('elif criterion.target_role == "answered" and cell.answered == NOTHING:', "elif False:"),
        tests=(CHECKS,),
    ),
]
