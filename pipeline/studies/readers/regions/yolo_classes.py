"""The file that names the classes of YOLO's text files: ``data.yaml`` or ``classes.txt``."""

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import refused
from pipeline.studies.readers.shared.labels import check_distinct

__all__ = ["class_names", "classes_file"]

_NAMES = ("data.yaml", "classes.txt")
_FOLDERS = 3  # its own and two above: labels/train/a.txt beside data.yaml
_CAP = 1024**2


def classes_file(path: Path) -> Path | None:
    """Return the file that names the classes of a text file; None when there is none. Links do not count."""
    candidates = (folder / name for folder in path.parents[:_FOLDERS] for name in _NAMES)
    return next((file for file in candidates if file.is_file() and not file.is_symlink() and file != path), None)


def class_names(path: Path) -> dict[int, str]:
    """Return the classes' names by their numbers; empty without a file that tells them.

    Raises:
        StudyError: NOT_READABLE when the file is not what its name says, or names two classes alike; UNSUPPORTED_FORMAT
            for a set of key points.
    """
    file = classes_file(path)
    if file is None:
        return {}
    text = file.read_text(encoding="utf-8-sig") if file.stat().st_size <= _CAP else ""
    try:
        names = dict(_of_yaml(text) if file.suffix == ".yaml" else enumerate(_of_lines(text)))
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        names = {}
    if not names:
        raise refused(Reason.NOT_READABLE, "data.yaml or classes.txt, which should name the classes, names none")
    check_distinct((name.lower() for name in names.values()), "the classes' names")
    return names


def _of_lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if not all(lines):
        raise ValueError("a class without a name: the numbers behind it would shift")
    return lines


def _of_yaml(text: str) -> Iterator[tuple[int, str]]:
    """Yield ``names`` given as a list, or as a mapping of numbers."""
    content = yaml.load(text, Loader=_Plain)
    if "kpt_shape" in content:
        message = "data.yaml states kpt_shape: the text files hold key points beside boxes, which are not read"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    names = content["names"]
    for number, name in names.items() if isinstance(names, dict) else enumerate(names):
        yield int(number), str(name).strip()


class _Plain(yaml.SafeLoader):
    """YAML without aliases, by which a small file grows beyond any memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping in which every key stands once."""
        check_distinct((key.value for key, _ in node.value), "a YAML mapping's keys")
        return super().construct_mapping(node, deep)
