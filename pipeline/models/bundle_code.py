"""What of a bundle's definition is code: a network of MONAI, torch or torchvision is built without running any of it.

MONAI evaluates every ``$`` expression as Python and calls whatever a ``_target_`` names. Here an expression may hold
numbers, references, and calls that build a network; a target has to be a network's part. All else is the bundle's code.
"""

import ast
import inspect
import pydoc
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from monai.bundle import ComponentLocator, ReferenceResolver
from torch import nn

__all__ = ["code_in", "network_parts", "without_downloads"]

_PACKAGES = (
    "monai.networks.nets",
    "monai.networks.blocks",
    "monai.networks.layers",
    "monai.apps.detection.networks",
    "torch.nn",
    "torchvision.models",
    "torchvision.ops",
)
_HARMLESS = ("torch.device", "torch.cuda.is_available", "torch.cuda.device_count")
_BUILTINS = ("bool", "dict", "float", "int", "len", "list", "max", "min", "range", "round", "str", "sum", "tuple")
_OWN_METHODS = ("to", "eval", "cpu", "cuda", "float")
_MODES = ("default", "callable", "partial")
_REFERENCE = "_reference"
_NODES = (
    ast.Expression, ast.Constant, ast.Name, ast.Load, ast.Attribute, ast.Call, ast.keyword, ast.List, ast.Tuple,
    ast.Dict, ast.Subscript, ast.Slice, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.BinOp, ast.unaryop,
    ast.boolop, ast.cmpop, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod,
)  # fmt: skip
_SHOWN = 80

Definition = dict[str, Any]


def network_parts(content: Mapping[str, Any], key: str) -> Definition:
    """Return the top entries of a configuration that the network's definition needs: itself and what it refers to."""
    needed: Definition = {}
    waiting = [key]
    while waiting:
        name = waiting.pop()
        if name in content and name not in needed:
            needed[name] = content[name]
            waiting += [reference for text in _texts(content[name]) for reference in _references(text)]
    return needed


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(key)
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def _references(text: str) -> Iterator[str]:
    for match in ReferenceResolver.id_matcher.findall(ReferenceResolver.normalize_id(text)):
        yield match[1:].partition("::")[0]


def code_in(definition: Mapping[str, Any]) -> str | None:
    """Return the first expression, or target, of a definition that runs code of the bundle; None where none does."""
    for value in _values(definition):
        if isinstance(value, Mapping):
            target, mode = value.get("_target_"), value.get("_mode_", "default")
            if "_target_" in value and (not isinstance(target, str) or not _is_network_part(_located(target))):
                return f"_target_: {target!s:.{_SHOWN}}"
            if mode not in _MODES:
                return f"_mode_: {mode!s:.{_SHOWN}}"
        elif isinstance(value, str) and (value.startswith("%") or (value.startswith("$") and not _is_plain(value))):
            return f"{value:.{_SHOWN}}"
    return None


def _values(value: object) -> Iterator[object]:
    yield value
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for part in parts:
        yield from _values(part)


def _is_plain(expression: str) -> bool:
    """Tell whether an expression holds nothing but numbers, references and calls that build a network."""
    text = ReferenceResolver.normalize_id(expression[1:])
    text = re.sub(ReferenceResolver.id_matcher, _REFERENCE, text)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(isinstance(node, _NODES) for node in ast.walk(tree)) and _is_harmless(tree.body)


def _is_harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return _is_allowed_call(node) and all(map(_is_harmless, [*node.args, *(word.value for word in node.keywords)]))
    if isinstance(node, ast.Attribute):
        path = _path(node)
        if path is None:
            return not node.attr.startswith("_") and _is_harmless(node.value)
        return isinstance(pydoc.locate(path), torch.dtype) if path.startswith("torch.") else False
    if isinstance(node, ast.Name):
        return node.id == _REFERENCE
    return all(map(_is_harmless, ast.iter_child_nodes(node)))


def _is_allowed_call(call: ast.Call) -> bool:
    if any(isinstance(argument, ast.Starred) for argument in call.args):
        return False
    if isinstance(call.func, ast.Name):
        return call.func.id in _BUILTINS
    if not isinstance(call.func, ast.Attribute):
        return False
    path = _path(call.func)
    if path is None:
        return call.func.attr in _OWN_METHODS and _is_harmless(call.func.value)
    if path in _HARMLESS:
        return True
    part = _located(path)
    return _is_network_part(part) and not _downloads(part, call)


def _path(node: ast.AST) -> str | None:
    """Return ``torch.nn.ReLU`` of such a chain of names that begins at a package; None for any other."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id == _REFERENCE:
        return None
    return ".".join([node.id, *reversed(names)])


def _located(target: str) -> object:
    """Return what a target names, as MONAI finds it; None outside the packages of networks, which is not imported."""
    path = target
    if "." not in target:
        modules = ComponentLocator().get_component_module_name(target)
        module = modules[0] if isinstance(modules, list) else modules
        path = f"{module}.{target}" if module else target
    if not path.startswith(tuple(f"{package}." for package in _PACKAGES)):
        return None
    try:
        return pydoc.locate(path)
    except pydoc.ErrorDuringImport:
        return None


def _is_network_part(part: object) -> bool:
    """Tell whether this is a class or function of the packages of networks, and not what their modules import."""
    home = f"{getattr(part, '__module__', '')}."
    if not home.startswith(tuple(f"{package}." for package in _PACKAGES)):
        return False
    if inspect.isclass(part):
        return issubclass(part, nn.Module)
    return inspect.isfunction(part) and not part.__name__.startswith(("get_pretrained", "_", "load"))


def _downloads(part: object, call: ast.Call) -> bool:
    """Tell whether a call that builds a network would fetch weights: where it says so, or does not say otherwise."""
    given = {word.arg: word.value for word in call.keywords}
    if any(word in given and not _is_false(given[word]) for word in ("weights", "pretrained_url", "pretrained")):
        return True
    return "pretrained" not in given and _default(part, "pretrained") not in (False, None)


def _is_false(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and not node.value


def _default(part: object, name: str) -> object:
    try:
        parameter = inspect.signature(part).parameters.get(name)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return None if parameter is None or parameter.default is inspect.Parameter.empty else parameter.default


def without_downloads(definition: Definition) -> tuple[Definition, bool]:
    """Return the definition that builds the same network without fetching weights, and whether it would have.

    torchvision's Inception and GoogLeNet are others when they are built with weights: they scale their input, and lose
    their auxiliary heads.
    """
    changed = {name: _offline(value) for name, value in definition.items()}
    return changed, changed != definition


def _offline(value: Any) -> Any:  # noqa: ANN401 - whatever a configuration holds, the same kind again
    if isinstance(value, list):
        return [_offline(part) for part in value]
    if not isinstance(value, dict):
        return value
    parts = {key: _offline(part) for key, part in value.items()}
    target = parts.get("_target_")
    if not isinstance(target, str):
        return parts
    part = _located(target)
    asked = bool(parts.get("pretrained", _default(part, "pretrained") or False)) or bool(parts.get("weights"))
    if not asked and not parts.get("pretrained_url"):
        return parts
    parts |= {"pretrained": False} if "pretrained" in parts or _default(part, "pretrained") is not None else {}
    parts |= {name: None for name in ("weights", "pretrained_url") if name in parts}
    name = str(parts.get("model_name", target)).rpartition(".")[2]
    if name in ("inception_v3", "googlenet") and asked:
        parts = {"transform_input": True, "aux_logits": False, **parts}
    return parts
