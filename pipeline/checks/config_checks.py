"""Everything that the file, the file system and the tables of names can tell, before torch, MONAI or Prefect load.

Each check is a function of the configuration. It is left out where a value that it needs is faulty itself, so that one
mistake is told once. What needs the model is checked next, see ``probe.py``.
"""

import ast
import importlib.util
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.checks.font_files import font_fault
from pipeline.checks.names import KnownMetric, KnownNames, installed_metric_names, known_names
from pipeline.config import AuditConfig, CheckCriterion, Criterion, bound_fault
from pipeline.config_file import Document, Fault, Key, LoadedConfig, ParsedConfig, parse_config, read_document
from pipeline.errors import ArchiveError, ConfigError, ModelError, closest
from pipeline.evidence.answers import why_answers_are_not_judged
from pipeline.extensions import names_of
from pipeline.findings.lock import read_lock
from pipeline.models.bundle_files import bundle_files, weights_digest
from pipeline.studies.listing.manifest import read_manifest
from pipeline.studies.listing.training_hashes import read_training_hashes
from pipeline.vocabulary import AVOID, CHECKS, NOTHING, STRATA_BY_PREDICTION, ConfusionCell

__all__ = ["check_content", "check_names", "checked_config"]

Check = Callable[[AuditConfig, Path], Iterator[Fault]]
"""From a configuration and the folder of its file to what is wrong with it."""

_MOST_REPEATS = 1_000_000  # a method's own samples, masks or steps: beyond it one map takes days
_FACTORY = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
_DEVICE = re.compile(r"auto|cpu|(?:cuda|mps|xpu|hpu)(?::\d{1,3})?")


def checked_config(path: Path, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Read ``audit.yaml`` and look at everything that it names; ``overrides`` as in ``load_config``.

    Raises:
        ConfigError: a line for each mistake, with its place.
    """
    document = read_document(path, overrides)
    return LoadedConfig(_checked(document, (*_OF_NAMES, *_OF_FILES), _of_the_lock(path)), document)


def check_names(path: Path, overrides: Sequence[str] = ()) -> AuditConfig:
    """Read ``audit.yaml`` and look at the names that it uses, at none of its files.

    Raises:
        ConfigError: as ``checked_config``.
    """
    return _checked(read_document(path, overrides), _OF_NAMES)


def check_content(document: Document) -> AuditConfig:
    """Check the names that a configuration uses, which may be no file's; its paths are left as they are given.

    Raises:
        ConfigError: as ``checked_config``.
    """
    _checked(document, _OF_NAMES)
    return AuditConfig.model_validate(document.content)


def _checked(
    document: Document, checks: Sequence[tuple[Sequence[str], Check]], further: Iterable[Fault] = ()
) -> AuditConfig:
    parsed = parse_config(document)
    faults = [*parsed.faults, *_further(parsed, document.path, checks), *further]
    if faults:
        raise document.refusal(faults)
    return parsed.config


def _further(parsed: ParsedConfig, path: Path, checks: Sequence[tuple[Sequence[str], Check]]) -> Iterator[Fault]:
    unknown = [".".join(map(str, key)) for key in parsed.unknown]
    folder = path.resolve().parent
    for needs, check in checks:
        if any(_overlap(need, key) for need in needs for key in unknown):
            continue
        for fault in check(parsed.config, folder):
            if not any(_overlap(".".join(map(str, fault.key)), key) for key in unknown):
                yield fault


def _overlap(first: str, second: str) -> bool:
    """Tell whether two keys are the same or one holds the other."""
    return first == second or first.startswith(f"{second}.") or second.startswith(f"{first}.")


def _fault(*key: str | int, says: str) -> Fault:
    return Fault(key, f"{'.'.join(map(str, key))}: {says}")


# Names.


def _labels(config: AuditConfig, _: Path) -> Iterator[Fault]:
    reserved = sorted({"reference", "predicted"} & set(config.model.labels))
    if reserved:
        says = f"{reserved[0]!r} is a word with its own meaning in explain.targets; rename the label"
        yield _fault("model", "labels", says=says)
    if config.model.has_independent_labels and NOTHING in config.model.labels:
        says = f"{NOTHING!r} means that a label is not there, or not called, where each is called by itself; rename it"
        yield _fault("model", "labels", says=says)


def _archive_label(config: AuditConfig, _: Path) -> Iterator[Fault]:
    label = config.archive.label
    if label is not None and label not in config.model.labels:
        says = f"must be one of model.labels, not {label!r}; {closest(label, config.model.labels)}"
        yield _fault("archive", "label", says=says)
    if label is not None and config.archive.manifest is not None:
        yield _fault(
            "archive",
            "label",
            says="must not be given with a manifest, whose column 'label' says it for each study; remove one of them",
        )


def _archive_layout(config: AuditConfig, _: Path) -> Iterator[Fault]:
    archive = config.archive
    for key, value in (("layout", archive.layout), ("modalities", archive.modalities)):
        if value is not None and archive.manifest is not None:
            says = "must not be given with a manifest, which lists each study's image; remove one of them"
            yield _fault("archive", key, says=says)


def _targets(config: AuditConfig, _: Path) -> Iterator[Fault]:
    known = ("reference", "predicted", *config.model.labels)
    for target in config.explain.targets:
        if target not in known:
            yield _fault("explain", "targets", says=f"must be among {', '.join(known)}, not {target!r}")


def _regression(config: AuditConfig, _: Path) -> Iterator[Fault]:
    """Refuse what asks for a called label of a model that calls none."""
    if config.model.kind != "regression":
        return
    if "predicted" in config.explain.targets:
        says = f"a regression calls no label, so nothing is 'predicted'; name outputs: {', '.join(config.model.labels)}"
        yield _fault("explain", "targets", says=says)
    for number, criterion in _of_metrics(config):
        if criterion.method is None:
            says = f"a regression calls no label, so it has no {criterion.metric}; add 'method:', the map to judge"
            yield _fault("criteria", number, "metric", says=says)
        elif criterion.among in STRATA_BY_PREDICTION:
            says = f"a regression calls no label, so no study is {criterion.among}; write reference_positive or all"
            yield _fault("criteria", number, "among", says=says)


def _shortcuts(config: AuditConfig, _: Path) -> Iterator[Fault]:
    """Refuse to look for what a classifier leans on in a model that is none."""
    if config.experiments.shortcuts is not None and (config.model.segmentation or config.model.kind == "regression"):
        kind = "regression" if config.model.kind == "regression" else "segmentation"
        says = f"asks what moves a study's answer from one label to another, and a {kind} has none; leave it out"
        yield _fault("experiments", "shortcuts", says=says)


def _doubled(config: AuditConfig, _: Path) -> Iterator[Fault]:
    listed: Mapping[Key, Sequence[str]] = {
        ("explain", "methods"): config.explain.methods,
        ("explain", "targets"): config.explain.targets,
        ("model", "layers"): config.model.layers,
        ("overlap", "metrics"): config.overlap.metrics,
    }
    for key, names in listed.items():
        if len(set(names)) < len(names):
            yield _fault(*key, says=f"must differ from each other, not {list(names)}")


def _methods(config: AuditConfig, _: Path) -> Iterator[Fault]:
    known, offered = known_names(), names_of("camaudit.methods")  # what the latter declare shows when they are loaded
    for name in config.explain.methods:
        if name not in known.methods and name not in offered:
            hint = closest(name, [*known.methods, *offered])
            yield _fault("explain", "methods", says=f"unknown method {name!r}; {hint}")
    for name, given in config.explain.options.items():
        if name not in config.explain.methods:
            says = f"{name!r} is not among explain.methods {list(config.explain.methods)}"
            yield _fault("explain", "options", name, says=says)
        elif name not in offered:
            yield from _options(known, name, given)


def _options(known: KnownNames, method: str, given: Mapping[str, object]) -> Iterator[Fault]:
    defaults = known.options.get(method, {})
    for option, value in given.items():
        key = ("explain", "options", method, option)
        if option not in defaults:
            yield _fault(*key, says=f"unknown option {option!r}; {closest(option, defaults) if defaults else 'none'}")
            continue
        default = defaults[option]
        if not _fits(value, default):
            yield _fault(*key, says=f"must be a {type(default).__name__} as its default {default!r}, not {value!r:.60}")
        elif isinstance(default, int) and option != "seed" and not 1 <= int(str(value)) <= _MOST_REPEATS:
            yield _fault(*key, says=f"must lie within 1 and {_MOST_REPEATS}, not {value!r:.60}")


def _fits(value: object, default: object) -> bool:
    """Tell whether an option's value is of its default's kind; a default of None says nothing."""
    if default is None:
        return True
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, (int, float)) and float("-inf") < value < float("inf")
    return isinstance(value, type(default))


def _of_metrics(config: AuditConfig) -> Iterator[tuple[int, Criterion]]:
    """Yield the criteria on metrics with their numbers among all."""
    for number, criterion in enumerate(config.criteria):
        if isinstance(criterion, Criterion):
            yield number, criterion


def _check_criteria(config: AuditConfig, _: Path) -> Iterator[Fault]:
    """Refuse a criterion on a check that the run will not do, or of a map that it will not have."""
    for number, criterion in enumerate(config.criteria):
        if not isinstance(criterion, CheckCriterion):
            continue
        family, maps = CHECKS[criterion.check].family, config.explain.methods
        if family not in config.experiments.families:
            says = f"{criterion.check} is one of experiments.{family}; add experiments: {{{family}: {{}}}}"
            yield _fault("criteria", number, says=says)
        if criterion.method is not None and criterion.method.partition("@")[0] not in maps:
            says = f"{criterion.check} is done on explain.methods, not on {criterion.method!r}"
            yield _fault("criteria", number, "method", says=f"{says}; {closest(criterion.method, maps)}")


def _criteria(config: AuditConfig, _: Path) -> Iterator[Fault]:
    known = known_names()
    for number, criterion in _of_metrics(config):
        yield from _labels_of_a_criterion(config, number, criterion)
        yield from _cell(config, number, criterion)
        if criterion.method is None:
            yield from _of_the_classifier(known, number, criterion)
        else:
            yield from _of_a_map(config, known, number, criterion)


def _of_the_classifier(known: KnownNames, number: int, criterion: Criterion) -> Iterator[Fault]:
    if criterion.metric not in known.classifier_metrics:
        if criterion.metric in known.metrics:
            yield _fault(
                "criteria", number, says=f"{criterion.metric} is measured on maps; add 'method:', the map to judge"
            )
        else:
            says = f"unknown name {criterion.metric!r}; {closest(criterion.metric, known.classifier_metrics)}"
            yield _fault(
                "criteria", number, "metric", says=f"(a criterion without method judges the classifier) {says}"
            )
    for key in ("better_than", "not_worse_than", "equivalent_to"):
        if getattr(criterion, key) is not None:
            yield _fault("criteria", number, key, says="compares two maps; add 'method:', the map to judge")
    if criterion.statistic == "median" or criterion.within is not None:
        key = "within" if criterion.within is not None else "statistic"
        yield _fault("criteria", number, key, says="is for a metric of maps; add 'method:', the map to judge")
    if "among" in criterion.model_fields_set and criterion.among != "all":
        among = criterion.among
        population = f"{among.words!r}" if isinstance(among, ConfusionCell) else repr(among)
        says = f"the classifier is judged on all studies, not on {population}"
        yield _fault("criteria", number, "among", says=says)
    yield from _bounds(number, criterion, KnownMetric(criterion.metric, (0.0, 1.0), "higher"))


def _of_a_map(config: AuditConfig, known: KnownNames, number: int, criterion: Criterion) -> Iterator[Fault]:
    avoided = criterion.metric.startswith(AVOID)
    own = criterion.metric in known.metrics
    installed = () if own or avoided else installed_metric_names()  # what these declare shows when they are loaded
    if not own and not avoided and criterion.metric not in installed:
        says = f"unknown name {criterion.metric!r}; {closest(criterion.metric, [*known.metrics, *installed])}"
        yield _fault("criteria", number, "metric", says=says)
    maps = [*config.explain.methods, *known.baselines]
    yield from _opponents(maps, number, criterion)
    # a misspelt method is told by itself; then this may be the right name
    misspelt = set(config.explain.methods) - {*known.methods, *names_of("camaudit.methods")}
    if not misspelt and str(criterion.method).partition("@")[0] not in maps:
        says = f"unknown name {criterion.method!r}; {closest(str(criterion.method), maps)}"
        yield _fault("criteria", number, "method", says=says)
    if own or avoided:
        yield from _bounds(number, criterion, _known_metric(known, criterion.metric))


def _known_metric(known: KnownNames, name: str) -> KnownMetric:
    return KnownMetric(name, (0.0, 1.0), "lower") if name.startswith(AVOID) else known.metrics[name]


def _labels_of_a_criterion(config: AuditConfig, number: int, criterion: Criterion) -> Iterator[Fault]:
    findings = [label for label in config.model.labels if label != config.model.negative_label]
    for name in criterion.label:
        if name not in (*findings, "each", "pooled"):
            yield _fault("criteria", number, "label", says=f"unknown label {name!r}; {closest(name, findings)}")


def _cell(config: AuditConfig, number: int, criterion: Criterion) -> Iterator[Fault]:
    """Refuse a cell that no study of this model can be in, or in which no map is held against a mask."""
    cell, model = criterion.among, config.model
    if not isinstance(cell, ConfusionCell):
        return
    why = why_answers_are_not_judged(model)
    if why is not None:
        yield _fault("criteria", number, "among", says=f"{why}; name a stratum, such as reference_positive")
        return
    words = [NOTHING] if model.has_independent_labels else []
    for key, name in (("reference", cell.reference), ("answered", cell.answered)):
        known = [*model.labels, *words]
        if name not in known:
            yield _fault("criteria", number, "among", says=f"unknown label {name!r} in {key}; {closest(name, known)}")
            return
    if cell.reference in (model.negative_label, *words):
        says = (
            "the reference names no finding there, so no map is held against a mask; where the maps of false alarms "
            "lie is reported without a criterion"
        )
        yield _fault("criteria", number, "among", says=says)
    elif model.has_independent_labels and cell.answered not in (cell.reference, NOTHING):
        says = f"each label is called by itself: answered is {cell.reference} or {NOTHING}, not {cell.answered}"
        yield _fault("criteria", number, "among", says=says)
    elif criterion.target_role == "answered" and cell.answered == NOTHING:
        says = f"no label is called in {cell.words!r}, so there is no map of it; leave it out"
        yield _fault("criteria", number, "target_role", says=says)


def _opponents(maps: Sequence[str], number: int, criterion: Criterion) -> Iterator[Fault]:
    """Refuse maps to be held against that this audit does not have, and readers where nothing compares them."""
    for key, words in (("better_than", ["baselines"]), ("not_worse_than", ["readers"]), ("equivalent_to", [])):
        for name in criterion.opponents if getattr(criterion, key) is not None else ():
            if name.partition("@")[0] not in (*maps, *words):
                says = f"unknown name {name!r}; {closest(name, [*maps, *words])}"
                yield _fault("criteria", number, key, says=says)
            elif name == criterion.method:
                yield _fault("criteria", number, key, says=f"{name} is held against itself; name another map")
    if criterion.not_worse_than == "readers" and criterion.metric not in ("iou", "dice"):
        says = f"readers are compared with each other by iou and dice, not by {criterion.metric}; judge one of these"
        yield _fault("criteria", number, "metric", says=says)


def _metrics(config: AuditConfig, _: Path) -> Iterator[Fault]:
    own = known_names().metrics
    unknown = [name for name in config.overlap.metrics if name not in own and not name.startswith(AVOID)]
    installed = installed_metric_names() if unknown else ()
    for name in unknown:
        if name not in installed:
            yield _fault("overlap", "metrics", says=f"unknown name {name!r}; {closest(name, [*own, *installed])}")


def _margins(config: AuditConfig, _: Path) -> Iterator[Fault]:
    """Refuse a margin of what the run does not measure, of what has no valid test, or as wide as the whole scale."""
    known = known_names()
    measured = [*config.overlap.metrics, *(part.metric for part in config.metric_criteria if part.method is not None)]
    testable = [name for name in known.classifier_metrics if name != "auroc"]
    for metric, margin in config.change.margins.items():
        if metric not in (*measured, *testable):
            says = f"{metric!r} is not measured, so no margin can be held; {closest(metric, [*measured, *testable])}"
            yield _fault("change", "margins", metric, says=says)
            continue
        low, high = known.metrics[metric].range if metric in known.metrics else (0.0, 1.0)
        if low is None or high is None:
            says = "has no upper end, so no test of its mean difference is valid; name a metric with two ends"
            yield _fault("change", "margins", metric, says=says)
        elif margin >= high - low:
            says = f"must be less than the whole scale, {high - low:g}, not {margin:g}"
            yield _fault("change", "margins", metric, says=says)


def _bounds(number: int, criterion: Criterion, metric: KnownMetric) -> Iterator[Fault]:
    fault = bound_fault(criterion, metric.range, metric.better)
    if fault is not None:
        yield _fault("criteria", number, fault[0], says=fault[1])


def _prepare(config: AuditConfig, _: Path) -> Iterator[Fault]:
    known = _transforms()
    for number, step in enumerate(config.prepare):
        target = step.get("_target_")
        if not isinstance(target, str) or not target:
            says = f"must name a MONAI transform as _target_, not {step!r:.80}"
            yield _fault("prepare", number, says=says)
            continue
        name, module = target.rpartition(".")[2], target.rpartition(".")[0]
        if name in known or module not in ("", "monai.transforms"):
            continue  # of another module: what it is shows when it is built
        yield _fault("prepare", number, "_target_", says=f"unknown transform {target!r}; {closest(name, known)}")


def _transforms() -> Collection[str]:
    """Return the names that MONAI's transforms export, read from its source: importing them takes seconds."""
    spec = importlib.util.find_spec("monai")
    if spec is None or spec.origin is None:
        return ()
    tree = ast.parse((Path(spec.origin).parent / "transforms" / "__init__.py").read_text(encoding="utf-8"))
    return [
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]


def _device(config: AuditConfig, _: Path) -> Iterator[Fault]:
    if not _DEVICE.fullmatch(config.run.device):
        yield _fault("run", "device", says=f"must be auto, cpu, cuda or cuda:<number>, not {config.run.device!r}")


# Files.


def _archive(config: AuditConfig, _: Path) -> Iterator[Fault]:
    archive = config.archive
    if archive.dicomweb is None and not archive.path.is_dir():
        yield _fault("archive", "path", says=f"{archive.path} does not exist or is not a folder")
    if archive.manifest is not None and not archive.manifest.is_file():
        yield _fault("archive", "manifest", says=f"{archive.manifest} does not exist or is not a file")


def _manifest(config: AuditConfig, _: Path) -> Iterator[Fault]:
    archive = config.archive
    if archive.manifest is None:
        yield from _regions_to_avoid(config, ())
    if archive.manifest is None or not archive.manifest.is_file():
        return
    if archive.dicomweb is None and not archive.path.is_dir():
        return
    try:
        rows = read_manifest(archive.path, archive.manifest)
    except ArchiveError as error:
        yield _fault("archive", "manifest", says=str(error))
        return
    if not rows:
        yield _fault("archive", "manifest", says=f"{archive.manifest} holds no studies")
    labels = sorted({label for row in rows for label in row.reference or ()})
    if labels and not set(labels) & set(config.model.labels):
        advice = closest(labels[0], config.model.labels)
        says = f"{archive.manifest}: label {labels[0]!r} is not one of the model's labels; {advice}"
        yield _fault("archive", "manifest", says=says)
    yield from _regions_to_avoid(config, {str(mask.label) for row in rows for mask in row.avoid})


def _regions_to_avoid(config: AuditConfig, regions: Collection[str]) -> Iterator[Fault]:
    """Refuse a region to avoid that is one of the model's labels, and one that no column of the manifest marks."""
    for name in sorted(set(regions) & set(config.model.labels)):
        says = f"column '{AVOID}{name}' names a label of the model: what is to be found cannot be what is to be avoided"
        yield _fault("archive", "manifest", says=says)
    named: list[tuple[Key, str]] = [(("overlap", "metrics"), name) for name in config.overlap.metrics]
    named += [(("criteria", number, "metric"), criterion.metric) for number, criterion in _of_metrics(config)]
    for place, name in named:
        if name.startswith(AVOID) and name.removeprefix(AVOID) not in regions:
            columns = [f"{AVOID}{region}" for region in sorted(regions)]
            advice = closest(name, columns) if columns else f"masks of it stand in the manifest's column {name!r}"
            yield _fault(*place, says=f"no study of a manifest marks the region {name.removeprefix(AVOID)!r}; {advice}")


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
        yield _fault("model", "labels", says=says)


def _weights(config: AuditConfig, _: Path) -> Iterator[Fault]:
    weights = config.model.weights
    if weights is None:
        return
    if not weights.is_file():
        yield _fault("model", "weights", says=f"{weights} does not exist or is not a file")
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
        yield _fault("model", "sha256", says=says)


def _factory(config: AuditConfig, folder: Path) -> Iterator[Fault]:
    """Look for the factory's module beside the configuration and read, not run, it; else only whether it exists."""
    factory = config.model.factory
    if factory is None:
        return
    match = _FACTORY.fullmatch(factory)
    if match is None:
        yield _fault("model", "factory", says=f"must be package.module:function, not {factory!r}")
        return
    module, function = match.groups()
    path = _beside(folder, module)
    if path is not None:
        yield from _factory_text(path, function)
    elif importlib.util.find_spec(module.partition(".")[0]) is None:
        places = f"neither beside the configuration in {folder} nor installed"
        yield _fault("model", "factory", says=f"module {module!r} is {places}")


def _beside(folder: Path, module: str) -> Path | None:
    stem = folder.joinpath(*module.split("."))
    paths = (stem.with_name(f"{stem.name}.py"), stem / "__init__.py")
    return next((path for path in paths if path.is_file()), None)


def _factory_text(path: Path, function: str) -> Iterator[Fault]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        yield _fault("model", "factory", says=f"{path}{line}: is not Python: {getattr(error, 'msg', error)}")
        return
    names = _defined(tree)
    if function not in names and "*" not in names:
        says = f"{path} defines no {function!r}; {closest(function, sorted(names))}"
        yield _fault("model", "factory", says=says)


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


def _output(config: AuditConfig, _: Path) -> Iterator[Fault]:
    for name in ("output", "cache"):
        folder: Path | None = getattr(config.run, name)
        if folder is None:
            continue
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not existing.is_dir():
            yield _fault("run", name, says=f"{folder} cannot be made: {existing} is a file")
        elif not os.access(existing, os.W_OK):
            yield _fault("run", name, says=f"{folder} cannot be written: no permission in {existing}")


def _training_hashes(config: AuditConfig, _: Path) -> Iterator[Fault]:
    if config.model.training_hashes is None:
        return
    try:
        read_training_hashes(config.model.training_hashes)
    except ConfigError as error:
        yield _fault("model", "training_hashes", says=str(error))


def _predecessor(config: AuditConfig, _: Path) -> Iterator[Fault]:
    folder = config.report.predecessor
    if folder is None:
        return
    runs = [folder / "results.json", *folder.glob("*/results.json")]
    if not any(run.is_file() and run.with_name("run.json").is_file() for run in runs):
        says = f"{folder} holds no finished run; give the folder of a run or of an audit"
        yield _fault("report", "predecessor", says=says)


def _fonts(config: AuditConfig, _: Path) -> Iterator[Fault]:
    for place, path in enumerate(config.report.fonts):
        if (says := font_fault(path)) is not None:
            yield _fault("report", "fonts", place, says=says)


def _of_the_lock(path: Path) -> Iterator[Fault]:
    try:
        read_lock(path)
    except ConfigError as error:
        yield Fault((), str(error))


_OF_NAMES: tuple[tuple[Sequence[str], Check], ...] = (
    (("model.labels",), _labels),
    (("archive.label", "archive.manifest", "model.labels"), _archive_label),
    (("archive.layout", "archive.modalities", "archive.manifest"), _archive_layout),
    (("explain.targets", "model.labels"), _targets),
    (("explain.targets", "model.output", "model.labels"), _regression),
    (("experiments.shortcuts", "model.output", "model.segmentation"), _shortcuts),
    (("explain.methods", "explain.targets", "model.layers", "overlap.metrics"), _doubled),
    (("explain.methods", "explain.options"), _methods),
    (("overlap.metrics",), _metrics),
    (("explain.methods",), _criteria),
    (("explain.methods", "experiments"), _check_criteria),
    (("change.margins", "overlap.metrics", "criteria"), _margins),
    ((), _prepare),
    (("run.device",), _device),
)
"""Checks with the keys whose values they rely on."""

_OF_FILES: tuple[tuple[Sequence[str], Check], ...] = (
    (("archive.path", "archive.manifest", "archive.dicomweb"), _archive),
    (
        ("archive.path", "archive.manifest", "archive.dicomweb", "model.labels", "criteria", "overlap.metrics"),
        _manifest,
    ),
    (("model.bundle", "model.weights"), _bundle),
    (("model.weights",), _weights),
    (("model.factory",), _factory),
    (("model.training_hashes",), _training_hashes),
    (("report.predecessor",), _predecessor),
    (("report.fonts",), _fonts),
    (("run.output", "run.cache"), _output),
)
