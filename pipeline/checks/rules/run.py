"""What is done to each image, on which device, and where a run and its report get their files."""

import ast
import importlib.util
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from pipeline.checks.font_files import font_fault
from pipeline.checks.rules.rule import Rule, fault_at
from pipeline.config import AuditConfig
from pipeline.config_file import Fault
from pipeline.errors import closest

__all__ = ["RUN_RULES"]

_DEVICE = re.compile(r"auto|cpu|(?:cuda|mps|xpu|hpu)(?::\d{1,3})?")


def _prepare(config: AuditConfig, _: Path) -> Iterator[Fault]:
    known = _transforms()
    for number, step in enumerate(config.prepare):
        target = step.get("_target_")
        if not isinstance(target, str) or not target:
            says = f"must name a MONAI transform as _target_, not {step!r:.80}"
            yield fault_at("prepare", number, says=says)
            continue
        name, module = target.rpartition(".")[2], target.rpartition(".")[0]
        if name in known or module not in ("", "monai.transforms"):
            continue  # of another module: what it is shows when it is built
        yield fault_at("prepare", number, "_target_", says=f"unknown transform {target!r}; {closest(name, known)}")


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
        yield fault_at("run", "device", says=f"must be auto, cpu, cuda or cuda:<number>, not {config.run.device!r}")


def _output(config: AuditConfig, _: Path) -> Iterator[Fault]:
    for name in ("output", "cache"):
        folder: Path | None = getattr(config.run, name)
        if folder is None:
            continue
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not existing.is_dir():
            yield fault_at("run", name, says=f"{folder} cannot be made: {existing} is a file")
        elif not os.access(existing, os.W_OK):
            yield fault_at("run", name, says=f"{folder} cannot be written: no permission in {existing}")


def _predecessor(config: AuditConfig, _: Path) -> Iterator[Fault]:
    folder = config.report.predecessor
    if folder is None:
        return
    runs = [folder / "results.json", *folder.glob("*/results.json")]
    if not any(run.is_file() and run.with_name("run.json").is_file() for run in runs):
        says = f"{folder} holds no finished run; give the folder of a run or of an audit"
        yield fault_at("report", "predecessor", says=says)


def _fonts(config: AuditConfig, _: Path) -> Iterator[Fault]:
    for place, path in enumerate(config.report.fonts):
        if (says := font_fault(path)) is not None:
            yield fault_at("report", "fonts", place, says=says)


RUN_RULES = (
    Rule((), _prepare),
    Rule(("run.device",), _device),
    Rule(("run.output", "run.cache"), _output, reads_files=True),
    Rule(("report.predecessor",), _predecessor, reads_files=True),
    Rule(("report.fonts",), _fonts, reads_files=True),
)
