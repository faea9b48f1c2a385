"""A model's answer held against the reference: which labels are called wrongly, and which are missed.

Of labels that exclude each other the answer is one label, the negative one among them: that it is called where the
reference names a finding is as wrong as another finding. Of independent labels each is an answer of its own.
"""

from collections.abc import Mapping

from pipeline.config import AuditConfig, ModelConfig
from pipeline.vocabulary import TargetRole

__all__ = [
    "Labels",
    "Roles",
    "answered_wrongly",
    "expected_targets",
    "known_targets",
    "missed",
    "roles_of",
    "why_answers_are_not_judged",
]

Labels = tuple[str, ...]

Roles = Mapping[str, tuple[TargetRole, ...]]
"""A study's labels to explain, each with the roles in which its map is scored."""

_BY_STUDY = ("predicted", "reference")


def why_answers_are_not_judged(model: ModelConfig) -> str | None:
    """Return why no label of a model is its answer about a study; None where there is one."""
    if model.kind == "regression":
        return (
            "the model is a regression: it calls no label, so none of its answers is another label than the reference's"
        )
    if model.segmentation:
        return (
            "the model is a segmentation: it answers for every voxel, and calls a label in one place that it misses in "
            "another, so a study has no single answer whose map could stand beside the reference's"
        )
    return None


def answered_wrongly(model: ModelConfig, reference: Labels | None, predicted: Labels) -> Labels:
    """Return the labels that a model calls and the reference says are not there; nothing where nobody knows.

    ``predicted`` holds what is called, without the negative label: where it is empty, that is what is called.
    """
    if reference is None or why_answers_are_not_judged(model) is not None:
        return ()
    present = [label for label in reference if label != model.negative_label]
    called = predicted or ((model.negative_label,) if model.negative_label is not None and present else ())
    return tuple(label for label in called if label not in present)


def missed(model: ModelConfig, reference: Labels | None, predicted: Labels) -> Labels:
    """Return the findings that the reference names and the model does not call."""
    if reference is None or why_answers_are_not_judged(model) is not None:
        return ()
    return tuple(label for label in reference if label != model.negative_label and label not in predicted)


def expected_targets(config: AuditConfig) -> int:
    """Return how many targets a study is expected to have before anything is known of it.

    A study whose targets follow from its reference or its prediction is taken to have one.
    """
    named = [target for target in config.explain.targets if target in config.model.labels]
    return len(named) + (len(named) < len(config.explain.targets))


def known_targets(config: AuditConfig, reference: Labels | None, predicted: Labels = ()) -> Labels:
    """Return the labels to explain that the configuration asks for, whether the answer is right or wrong."""
    targets, negative = config.explain.targets, config.model.negative_label
    named = [label for label in targets if label not in _BY_STUDY]
    present = (reference or ()) if "reference" in targets else ()
    called = predicted if "predicted" in targets else ()
    labels = [*present, *called, *named]
    return tuple(dict.fromkeys(label for label in labels if label != negative or label in named))


def roles_of(config: AuditConfig, reference: Labels | None, predicted: Labels) -> Roles:
    """Return the labels to explain, each with the roles in which its map is scored.

    ``reference``: it is asked for, or the reference names it and the model misses it; it is held against its own masks.
    ``answered``: the model calls it wrongly; it is held against the masks of the findings that are there. A map that is
    both is one map. Where only labels by name are asked for, an answer is their matter that misses one of them.
    """
    asked = known_targets(config, reference, predicted)
    lost = missed(config.model, reference, predicted)
    wrong = answered_wrongly(config.model, reference, predicted)
    if not set(_BY_STUDY) & set(config.explain.targets):
        lost = tuple(label for label in lost if label in asked)
        if not lost or config.model.has_independent_labels:
            wrong = tuple(label for label in wrong if label in asked)
    roles: dict[str, tuple[TargetRole, ...]] = dict.fromkeys((*asked, *lost), ("reference",))
    return roles | {label: (*roles.get(label, ()), "answered") for label in wrong}
