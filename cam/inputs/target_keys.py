"""What a caller wrote for the targets: indices, names, arrays, one target or several; and the key that each goes by."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from numbers import Integral
from typing import Any

from torch import Tensor

from cam.inputs.spelling import did_you_mean
from cam.inputs.targets import (
    Difference,
    PerSample,
    Positive,
    Predicted,
    Region,
    Scalar,
    Similarity,
    Target,
    Value,
    in_words,
)

__all__ = ["TargetKey", "TargetLike", "plain_key", "requested", "resolve_targets"]

TargetLike = Scalar | PerSample | Predicted | Positive | int | str
"""What a caller may ask for; a bare index or name is a ``Target``, or a ``Value`` of a regression."""

TargetKey = Hashable
"""What a target's maps go by: an index, a name, or the target itself where it is more than one label for all."""

_KINDS = (
    "an index, a label's name, or a Target, Value, PerSample, Difference, Region, Similarity, AnswerToken, Predicted "
    "or Positive"
)


def requested(targets: object, target: object) -> list[object]:
    """Return what is asked, target by target, from ``targets`` (several) or ``target`` (one); the predicted by default.

    An array or tensor of labels (B,) as the one ``target`` is one label for each sample.

    Raises:
        ValueError: when both are given, a list is given as the one target, or what is given is no target.
    """
    if target is not None:
        if targets is not None:
            raise ValueError("target= is one target and targets= several: give one of the two")
        if isinstance(target, list | tuple | set | dict):
            several = list(target)
            raise ValueError(
                f"target={several} may mean one label for each sample, target=PerSample({several}), or several targets "
                f"for all, targets={several}: say which"
            )
        each: Any = target
        return [PerSample(each)] if getattr(target, "ndim", None) else [_entry(target)]
    if targets is None:
        return [Predicted()]
    plain = targets.tolist() if hasattr(targets, "tolist") and getattr(targets, "ndim", None) else targets
    if isinstance(plain, Sequence) and not isinstance(plain, str):
        return [_entry(entry) for entry in plain]
    return [_entry(plain)]


def resolve_targets(
    asked: Sequence[object], logits: Tensor, *, labels: Sequence[str] | None = None, regression: bool = False
) -> dict[TargetKey, Scalar]:
    """Return the scalars that are asked of this batch, from its logits (B, K) or (B, K, *S), by the key of each.

    ``labels`` are the names of the outputs, in their order. The same target asked twice is there once.

    Raises:
        ValueError: when ``Predicted`` or ``Positive`` is asked of an output that is not (B, K) or no logit; when as
            many bare indices are asked as there are samples: other packages take them for one of each sample; or when
            a name is not among the labels.
    """
    names = _names(labels, logits.shape[1], regression=regression)
    _refuse_ambiguous(asked, len(logits))
    resolved: dict[TargetKey, Scalar] = {}
    for target in asked:
        meant = _with_indices(target, names)
        if isinstance(meant, Predicted | Positive):
            if logits.ndim != 2 or regression:
                what = "a regression has none" if regression else f"not {tuple(logits.shape)}{in_words(logits)}"
                raise ValueError(f"{target} needs logits of shape (batch, labels), {what}")
            answers = meant.answer(logits.detach())
            resolved |= (
                {target: answers[0]}
                if isinstance(meant, Predicted)
                else {plain_key(answer): answer for answer in answers}
            )
        else:
            resolved.setdefault(plain_key(target), _scalar(meant, logits, regression=regression))
    return resolved


def plain_key(target: object) -> TargetKey:
    """Return the key that a target goes by: the plain index or name where it is one label for all.

    Raises:
        ValueError: when it cannot be a key.
    """
    if isinstance(target, Target) and not isinstance(target.label, tuple):
        return target.label
    plain: object = target.tolist() if hasattr(target, "tolist") and not isinstance(target, Scalar) else target
    try:
        hash(plain)
    except TypeError as error:
        kind = type(target).__name__
        raise ValueError(f"target of type {kind} must be hashable, as its maps go by it: a frozen dataclass") from error
    return plain


def _entry(target: object) -> object:
    """Return a target as it is understood: a whole number of any kind as an ``int``."""
    if isinstance(target, Scalar | PerSample | Predicted | Positive | str) and not isinstance(target, type):
        return target
    plain = target.tolist() if hasattr(target, "tolist") else target
    if isinstance(plain, Integral) and not isinstance(plain, bool):
        return int(plain)
    category = getattr(target, "category", None)  # pytorch-grad-cam's ClassifierOutputTarget and its kin
    hint = f": write target={category}" if isinstance(category, int) else ""
    shown = repr(plain) if isinstance(plain, bool | float | list | tuple) else type(target).__name__
    raise ValueError(f"a target must be {_KINDS}, not {shown}{hint}")


def _refuse_ambiguous(asked: Sequence[object], batch: int) -> None:
    if batch > 1 and len(asked) == batch and all(isinstance(target, int | str) for target in asked):
        bare = list(asked)
        raise ValueError(
            f"targets={bare} of a batch of {batch} may mean one target for each sample, PerSample({bare}), or "
            f"that many for all of them, [{', '.join(f'Target({label!r})' for label in bare)}]: say which"
        )


def _scalar(target: object, logits: Tensor, *, regression: bool) -> Scalar:
    if isinstance(target, PerSample):
        target = Target(_each(target, len(logits)))
    if isinstance(target, int):
        target = Target(target)
    if regression and isinstance(target, Target):
        return Value(target.label)
    if regression and isinstance(target, Region):
        return replace(target, is_value=True)
    if regression and isinstance(target, Difference) and logits.shape[1] == 1:
        raise ValueError(f"{target} needs two outputs, and this regression has one")
    assert isinstance(target, Scalar)
    return target


def _each(per_sample: PerSample, batch: int) -> tuple[int | str, ...]:
    labels = per_sample.labels
    if not isinstance(labels, tuple) or len(labels) != batch:
        raise ValueError(f"PerSample needs one index for each of {batch} samples, not {labels!r}")
    return labels


def _names(labels: Sequence[str] | None, outputs: int, *, regression: bool) -> Mapping[str, int]:
    if labels is None:
        return {}
    binary = outputs == 1 and not regression
    if len(labels) != (2 if binary else outputs):
        wanted = "2 names, of the negative and the positive class," if binary else f"{outputs} names"
        raise ValueError(
            f"labels must be {wanted} for a model of {outputs} output(s), not {len(labels)}: {list(labels)}"
        )
    return {name: number for number, name in enumerate(labels)}


def _with_indices(target: Any, names: Mapping[str, int]) -> Any:  # noqa: ANN401 - whatever is asked, the same kind again
    """Return the target with its labels' names as indices."""
    if isinstance(target, str):
        return _index(target, names)
    if not is_dataclass(target) or isinstance(target, type | Similarity):
        return target
    values = {part.name: getattr(target, part.name) for part in fields(target) if part.init}
    named = {name: _indices(value, names) for name, value in values.items() if _holds_name(value)}
    return replace(target, **named) if named else target


def _holds_name(label: object) -> bool:
    return isinstance(label, str) or (isinstance(label, tuple) and any(isinstance(name, str) for name in label))


def _indices(label: object, names: Mapping[str, int]) -> object:
    if isinstance(label, tuple):
        return tuple(_indices(entry, names) for entry in label)
    return _index(label, names) if isinstance(label, str) else label


def _index(name: str, names: Mapping[str, int]) -> int:
    if not names:
        raise ValueError(
            f"target {name!r} is a name: tell the names of the model's outputs, labels=[...], or its index"
        )
    if name not in names:
        raise ValueError(f"target {name!r} is not among labels {list(names)}{did_you_mean(name, names)}")
    return names[name]
