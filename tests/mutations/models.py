"""What could let a model be another than it is said to be: its weights, its outputs, its layer, or a bundle's code."""

from tests.mutants import Mutant, of

__all__ = ["MUTANTS"]

WALK = "tests/pipeline/walk/test_explaining.py"
CLOTHES = f"{WALK}::test_the_same_network_in_other_clothes_calls_and_sees_the_same"
REFUSED = f"{WALK}::test_outputs_that_are_not_what_the_configuration_says_are_refused"
BUNDLE, WEIGHTS = "tests/pipeline/models/test_bundle.py", "tests/pipeline/models/test_weights.py"

MUTANTS: list[Mutant] = [
    *of(
        "pipeline/models/outputs.py",
        ('is_done = as_returned and model.kind == "probability"', "is_done = as_returned"),
        ('is_done = as_returned and model.kind == "probability"', 'is_done = model.kind == "probability"'),
        ("return torch.cat([1 - positive, positive], dim=1)", "return torch.cat([positive, 1 - positive], dim=1)"),
        ("return positive if number == 1 else ~positive", "return positive"),
        ("if not bool(region.any()):", "if False:"),
        ("if is_called and label != model.negative_label)", "if is_called)"),
        tests=(
            CLOTHES,
            f"{WALK}::test_what_a_region_is_where_nothing_is_called",
            f"{WALK}::test_the_negative_label_is_never_called",
        ),
    ),
    *of(
        "pipeline/walk/own_targets.py",
        ("return labels[min(number, len(labels) - 1)] if labels else 0", "return labels[0] if labels else 0"),
        tests=(f"{WALK}::test_labels_of_several_studies_are_all_explained",),
    ),
    *of(
        "pipeline/walk/explaining.py",
        ("output_kind=model.kind,", ""),
        ("            if label in own[row]:", "            if True:"),
        ("samples = [sample for sample, labels in enumerate(call.labels) if labels]", "samples = [*range(len(x))]"),
        (
            "return _once_answered if formulas and not config.model.segmentation else _answered_first",
            "return _answered_first",
        ),
        tests=(CLOTHES, WALK, "-k", "clothes or twice or without_a_target or own_labels or independent"),
    ),
    *of(
        "pipeline/checks/output_check.py",
        ("if named:\n            raise", "if False:\n            raise"),
        ("        _check_range(model, of_all_sizes, _EDGE if outputs.requires_grad else _NO_RECORD)\n", ""),
        ("if low < 0 or high > 1:", "if False:"),
        ("if model.multi_label and is_one:", "if False:"),
        ("if not model.multi_label and not is_one:", "if False:"),
        tests=(REFUSED,),
    ),
    *of(
        "pipeline/checks/steadiness.py",
        ("    if not all(_are_alike(", "    if False and not all(_are_alike("),
        ("    return _are_alike(first, beside,", "    return True or _are_alike(first, beside,"),
        tests=(REFUSED, f"{WALK}::test_a_model_that_mixes_samples_is_shown_one_study_at_a_time"),
    ),
    *of(
        "pipeline/checks/layer_check.py",
        ("if wanted.number not in (None, calls - 1):", "if False:"),
        ("fixed = output.detach()", "fixed = output"),
        tests=(WALK, "-k", "layer_given_by_name or calls_of_a_layer"),
    ),
    *of(
        "pipeline/models/weights.py",
        ("if names == known), None)", "if names & known), None)"),
        ("if len(fitting) > 1 and not _are_equal(", "if False and not _are_equal("),
        ('map_location="cpu", weights_only=True', "weights_only=True"),
        ("name = fitting[0] if fitting else usual", "name = usual"),
        tests=(WEIGHTS,),
    ),
    *of(
        "pipeline/models/bundle.py",
        ("if code is not None and not run_code:", "if False:"),
        ("definition = network_parts(files.content, files.key)", "definition = dict(files.content)"),
        (
            "_built(offline, files.key, where), files.weights, named",
            "_built(whole, files.key, where), files.weights, named",
        ),
        tests=(BUNDLE,),
    ),
    *of(
        "pipeline/models/bundle_code.py",
        ("return issubclass(part, nn.Module)", "return True"),
        ("return node.id == _REFERENCE", "return True"),
        ("return _is_network_part(part) and not _downloads(part, call)", "return _is_network_part(part)"),
        ("return _is_network_part(part) and not _downloads(part, call)", "return True"),
        ('return not node.attr.startswith("_") and _is_harmless(node.value)', "return _is_harmless(node.value)"),
        ("if mode not in _MODES:", "if False:"),
        tests=(BUNDLE,),
    ),
    *of(
        "pipeline/models/bundle_files.py",
        ('if Path(name).name != name or name in ("", ".", ".."):', "if False:"),
        tests=(WEIGHTS,),
    ),
]
