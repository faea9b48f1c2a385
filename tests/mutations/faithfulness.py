"""Mutations of faithfulness: which blocks go first, what stands in their place, and what the rule makes of it."""

from tests.mutants import of

TESTS = "tests/pipeline/evidence/faithfulness"
BLOCKS, CURVES, PICTURE = f"{TESTS}/test_blocks.py", f"{TESTS}/test_curves.py", f"{TESTS}/test_picture.py"
RUN = "tests/pipeline/experiments/test_faithfulness.py"
ROAD, REQUEST, RULE = f"{TESTS}/test_road.py", f"{TESTS}/test_on_request.py", f"{TESTS}/test_rule.py"

MUTANTS = [
    *of(
        "pipeline/evidence/faithfulness/blocks.py",
        ("sort(descending=True", "sort(descending=False"),
        ("number[..., None] * count + place", "number[..., None] + place"),
        ("member / member.sum(dim=1, keepdim=True)", "member"),
        ("shuffled[steps[shuffled].sort", "torch.arange(len(means))[steps.sort"),
        ("means / (scale * _TIED)", "means / (scale * 1e-15)"),
        ("if not bool(scale > 0):", "if False:"),
        ("if bool((steps == steps[0]).all()):", "if False:"),
        tests=(BLOCKS,),
    ),
    *of(
        "pipeline/evidence/faithfulness/fills.py",
        ("-0.5 * ((place", "-1.0 * ((place"),
        ("SIGMA_SHARE * side", "SIGMA_SHARE * 8"),
        ("weights / weights.sum(dim=1, keepdim=True)", "weights / weights.sum(dim=1).max()"),
        ("keep[:, None], x[samples], other[samples]", "~keep[:, None], x[samples], other[samples]"),
        ("flatten(2).mean(dim=2)", "flatten(1).mean(dim=1, keepdim=True).expand(-1, x.shape[1])"),
        tests=(CURVES,),
    ),
    *of(
        "pipeline/evidence/faithfulness/curves.py",
        ("self.insertion - self.deletion", "self.deletion - self.insertion"),
        ("self.insertion - self.deletion", "self.insertion"),
        ("orders.argsort(dim=-1)", "orders"),
        ("[inserted, ~inserted]", "[~inserted, inserted]"),
        ("[whole, deleted, filled]", "[filled, deleted, whole]"),
        ("blocks - end for end in reversed", "end + blocks // 2 for end in"),
        ("if grid.blocks < FEWEST_BLOCKS:", "if False:"),
        tests=(CURVES,),
    ),
    *of(
        "pipeline/evidence/faithfulness/opponents.py",
        ('f"{seed}/{study}/{purpose}"', 'f"{seed}/{purpose}"'),
        ('f"{seed}/{study}/{purpose}"', 'f"{study}/{purpose}"'),
        ("RANDOM_ORDERS = 3", "RANDOM_ORDERS = 2"),
        tests=(PICTURE,),
    ),
    *of(
        "pipeline/evidence/faithfulness/picture.py",
        ("scores.to(grid.device).argsort(dim=1, stable=True)", "(-scores).to(grid.device).argsort(dim=1, stable=True)"),
        ("given.target, 0, place", "0, 0, place"),
        ("own[len(opponents) + target]", "own[len(opponents)]"),
        ("~torch.eye", "torch.eye"),
        ("float(own[0]),", "float(own[1]),"),
        tests=(PICTURE,),
    ),
    *of(
        "pipeline/evidence/faithfulness/findings.py",
        ("if best > 0 else None", "if best != 0 else None"),
        tests=(PICTURE,),
    ),
    *of(
        "pipeline/evidence/faithfulness/findings.py",
        ('"MET" if figure.answer == "beats both"', '"MET" if figure.answer != "not shown"'),
        ('"NOT MET" if lost else', '"NOT MET" if True else'),
        ("test.p_lost < ALPHA for", "test.p_lost < 1 for"),
        ("if value is not None:", "if value:"),
        tests=(RUN,),
    ),
    *of(
        "pipeline/experiments/faithfulness.py",
        ("if row.method not in seen.not_done),\n        opponents", "if True),\n        opponents"),
        ("raise  # the model fails", "pass  # the model fails"),
        tests=(RUN,),
    ),
    *of(
        "pipeline/experiments/rescoring.py",
        ("1 if auditor.one_by_one else None", "None"),
        tests=(RUN,),
    ),
    *of(
        "pipeline/evidence/faithfulness/road.py",
        ("1 / apart.clamp(min=1)", "1 / apart.clamp(min=1, max=2)"),
        ("padding=1).view_as", "padding=1).abs().view_as"),
        ("filled + noise[samples])", "filled)"),
        ("NOISE = 0.01", "NOISE = 0.1"),
        ("solved.to(x), start", "solved.to(x), x"),
        ("_TOLERANCE = 1e-4", "_TOLERANCE = 1e-1"),
        tests=(ROAD,),
    ),
    *of(
        "pipeline/evidence/faithfulness/on_request.py",
        ("max(0.0, before - after) / before", "abs(before - after) / before"),
        ("/ before, after > before", "/ before, after >= before"),
        ("100 * max", "max"),
        ("(heatmap - low) / (high - low)", "heatmap / high"),
        ("curves.deletion[:, 0, 0]", "curves.insertion[:, 0, 0]"),
        ("scores[:, :1] - scores[:, 1:]", "scores[:, 1:] - scores[:, :1]"),
        (" * grid.sizes", ""),
        tests=(REQUEST,),
    ),
    *of(
        "pipeline/evidence/faithfulness/rule.py",
        ("int(self.own > against", "int(self.own >= against"),
        ("if self.own is None:\n            return 0", "if self.own is None:\n            return 1"),
        ("sum_in_order(self.random) / len(self.random)", "min(self.random)"),
        ('"inverse": -self.own', '"inverse": -9.0'),
        ("range(wins, trials + 1)", "range(wins + 1, trials + 1)"),
        ("2 * own.count(1) > len(own)", "2 * own.count(1) >= len(own)"),
        ("2 * own.count(-1) > len(own)", "2 * own.count(-1) >= len(own)"),
        ("enough and test.p < ALPHA", "test.p < ALPHA"),
        ("if enough and any", "if any"),
        ('not (shown["random"] and shown["inverse"])', 'not shown["random"]'),
        ('if shown["centre"] else', 'if shown["random"] else'),
        ("ALPHA: Final = 0.05", "ALPHA: Final = 0.06"),
        tests=(RULE,),
    ),
]
