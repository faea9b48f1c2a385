"""The model's files: bundle, weights with their hash, factory, hashes of the training data. Nothing of it is run."""

import ast
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.checks.rules.rule import Rule, fault_at
from pipeline.config import AuditConfig
from pipeline.config_file import Fault
from pipeline.errors import ConfigError, ModelError, closest
from pipeline.models.bundle_files import bundle_files, weights_digest
from pipeline.studies.listing.training_hashes import read_training_hashes

__all__ = ["MODEL_RULES"]

_FACTORY = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")


def _bundle(config: AuditConfig, _: Path) -> Iterator[Fault]:
    bundle = config.model.bundle
    if bundle is None:
        return
    try:
        files = bundle_files(bundle, config.model.weights)
    except ModelError as error:
        yield Fault(("model", "bundle"), str(error))
        return
    yield from _channels(config, bundle / "configs" / "metadata.json")
    if config.model.weights is None:  # else they are looked at by themselves
        yield from _hash(config, files.weights)


def _channels(config: AuditConfig, metadata: Path) -> Iterator[Fault]:
    """Hold the labels against the names that a bundle gives its outputs: the same names in another order are a slip."""
    try:
        outputs = json.loads(metadata.read_text(encoding="utf-8"))["network_data_format"]["outputs"]
        channels = next(iter(outputs.values()))["channel_def"]
        stated = [str(channels[str(number)]) for number in range(len(channels))]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration):
        return  # most bundles say nothing of the kind
    labels = config.model.labels
    plain, configured = ([re.sub(r"[\W_]+", " ", name).casefold() for name in names] for names in (stated, labels))
    if plain != configured and sorted(plain) == sorted(configured):
        says = f"must be in the order of the bundle's outputs, {stated}, not {list(labels)}"
        yield fault_at("model", "labels", says=says)


def _weights(config: AuditConfig, _: Path) -> Iterator[Fault]:
    weights = config.model.weights
    if weights is None:
        return
    if not weights.is_file():
        yield fault_at("model", "weights", says=f"{weights} does not exist or is not a file")
    else:
        yield from _hash(config, weights)


def _hash(config: AuditConfig, weights: Path) -> Iterator[Fault]:
    if config.model.sha256 is None:
        return
    try:
        digest = weights_digest(weights)
    except ModelError as error:
        yield Fault(("model", "weights"), str(error))
        return
    if digest != config.model.sha256:
        says = (
            f"the weights {weights} have the hash {digest}, not the configured {config.model.sha256}; "
            "name the weights that are meant, or correct model.sha256"
        )
        yield fault_at("model", "sha256", says=says)


def _factory(config: AuditConfig, folder: Path) -> Iterator[Fault]:
    """Look for the factory's module beside the configuration and read, not run, it; else only whether it exists."""
    factory = config.model.factory
    if factory is None:
        return
    match = _FACTORY.fullmatch(factory)
    if match is None:
        yield fault_at("model", "factory", says=f"must be package.module:function, not {factory!r}")
        return
    module, function = match.groups()
    path = _beside(folder, module)
    if path is not None:
        yield from _factory_text(path, function)
    elif importlib.util.find_spec(module.partition(".")[0]) is None:
        places = f"neither beside the configuration in {folder} nor installed"
        yield fault_at("model", "factory", says=f"module {module!r} is {places}")


def _beside(folder: Path, module: str) -> Path | None:
    stem = folder.joinpath(*module.split("."))
    paths = (stem.with_name(f"{stem.name}.py"), stem / "__init__.py")
    return next((path for path in paths if path.is_file()), None)


def _factory_text(path: Path, function: str) -> Iterator[Fault]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        yield fault_at("model", "factory", says=f"{path}{line}: is not Python: {getattr(error, 'msg', error)}")
        return
    names = _defined(tree)
    if function not in names and "*" not in names:
        says = f"{path} defines no {function!r}; {closest(function, sorted(names))}"
        yield fault_at("model", "factory", says=says)


def _defined(tree: ast.Module) -> set[str]:
    """Return the names that a module binds; ``*`` where it imports whatever another one holds."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _training_hashes(config: AuditConfig, _: Path) -> Iterator[Fault]:
    if config.model.training_hashes is None:
        return
    try:
        read_training_hashes(config.model.training_hashes)
    except ConfigError as error:
        yield fault_at("model", "training_hashes", says=str(error))


MODEL_RULES = (
    Rule(("model.bundle", "model.weights"), _bundle, reads_files=True),
    Rule(("model.weights",), _weights, reads_files=True),
    Rule(("model.factory",), _factory, reads_files=True),
    Rule(("model.training_hashes",), _training_hashes, reads_files=True),
)
