"""What a caller wrote for the name of a method, a label or an option: as others write it, or what was meant."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from cam.registry import METHODS

__all__ = ["did_you_mean", "method_name"]

_ALSO = {
    "gradcamplusplus": "gradcampp",
    "smoothgradcamplusplus": "smoothgradcampp",
    "vanillagrad": "saliency",
    "occlusionsensitivity": "occlusion",
    "guidedbackpropagation": "guided_backprop",
    "integratedgradient": "integrated_gradients",
    "expectedgradients": "gradient_shap",
    "rollout": "attention_rollout",
    "fasterscorecam": "faster_scorecam",
}
"""Names that other packages and papers have for these methods, in small letters without signs."""


def method_name(given: object) -> str:
    """Return the registry's name of a method: ``GradCAM``, ``Grad-CAM`` and ``gradcam`` are one, ``gradcam++`` too.

    Raises:
        ValueError: when there is no such method; it names the nearest.
    """
    if not isinstance(given, str):
        raise ValueError(f"methods must be names, not {type(given).__name__}: methods=['gradcam']")  # noqa: TRY004 - callers expect one error type for an unfit method
    spelt = {_letters(name): name for name in METHODS}
    name = spelt.get(_letters(given)) or _ALSO.get(_letters(given))
    if name is None:
        near = [spelt.get(letters) or _ALSO[letters] for letters in _near(_letters(given), [*spelt, *_ALSO])]
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"method {given!r} is not known; {hint}They are {', '.join(sorted(METHODS))}")
    return name


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """Return ``; did you mean 'this'?`` for the nearest of the known names, or nothing where none is near."""
    near = _near(given, known) if isinstance(given, str) else []
    return f"; did you mean {near[0]!r}?" if near else ""


def _near(given: str, known: Iterable[str]) -> list[str]:
    return get_close_matches(given, list(known), n=1)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().replace("+", "p"))
