"""Everything that the file, the file system and the tables of names can tell, before torch, MONAI or Prefect load.

The rules are in ``rules/``, a file for each part of the configuration. What needs the model is checked next, see
``model_check.py``.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipeline.checks.rules.archive import ARCHIVE_RULES
from pipeline.checks.rules.criteria import CRITERION_RULES
from pipeline.checks.rules.labels import LABEL_RULES
from pipeline.checks.rules.methods import METHOD_RULES
from pipeline.checks.rules.model import MODEL_RULES
from pipeline.checks.rules.rule import Rule
from pipeline.checks.rules.run import RUN_RULES
from pipeline.config import AuditConfig
from pipeline.config_file import Document, Fault, LoadedConfig, ParsedConfig, parse_config, read_document
from pipeline.errors import ConfigError
from pipeline.findings.lock import read_lock

__all__ = ["check_content", "check_names", "checked_config"]

_RULES = (*LABEL_RULES, *METHOD_RULES, *CRITERION_RULES, *ARCHIVE_RULES, *MODEL_RULES, *RUN_RULES)
_RULES_OF_NAMES = tuple(rule for rule in _RULES if not rule.reads_files)


def checked_config(path: Path, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Read ``audit.yaml`` and look at everything that it names; ``overrides`` as in ``load_config``.

    Raises:
        ConfigError: a line for each mistake, with its place.
    """
    document = read_document(path, overrides)
    return LoadedConfig(_checked(document, _RULES, _of_the_lock(path)), document)


def check_names(path: Path, overrides: Sequence[str] = ()) -> AuditConfig:
    """Read ``audit.yaml`` and look at the names that it uses, at none of its files.

    Raises:
        ConfigError: as ``checked_config``.
    """
    return _checked(read_document(path, overrides), _RULES_OF_NAMES)


def check_content(document: Document) -> AuditConfig:
    """Check the names that a configuration uses, which may be no file's; its paths are left as they are given.

    Raises:
        ConfigError: as ``checked_config``.
    """
    _checked(document, _RULES_OF_NAMES)
    return AuditConfig.model_validate(document.content)


def _checked(document: Document, rules: Sequence[Rule], further: Iterable[Fault] = ()) -> AuditConfig:
    parsed = parse_config(document)
    faults = [*parsed.faults, *_further(parsed, document.path, rules), *further]
    if faults:
        raise document.refusal(faults)
    return parsed.config


def _further(parsed: ParsedConfig, path: Path, rules: Sequence[Rule]) -> Iterator[Fault]:
    unknown = [".".join(map(str, key)) for key in parsed.unknown]
    folder = path.resolve().parent
    for rule in rules:
        if any(_overlap(need, key) for need in rule.needs for key in unknown):
            continue
        for fault in rule.check(parsed.config, folder):
            if not any(_overlap(".".join(map(str, fault.key)), key) for key in unknown):
                yield fault


def _overlap(first: str, second: str) -> bool:
    """Tell whether two keys are the same or one holds the other."""
    return first == second or first.startswith(f"{second}.") or second.startswith(f"{first}.")


def _of_the_lock(path: Path) -> Iterator[Fault]:
    try:
        read_lock(path)
    except ConfigError as error:
        yield Fault((), str(error))
