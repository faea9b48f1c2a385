"""Put the package of ``tests/plugin_package`` where ``pip install --no-deps --target`` would, without a network."""

import shutil
import tomllib
from pathlib import Path

__all__ = ["PACKAGE", "install", "write_distribution"]

PACKAGE = Path(__file__).with_name("plugin_package")


def install(target: Path, version: str | None = None) -> None:
    """Copy the package's code to ``target`` and write its ``dist-info``, of another version where one is given."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))
    facts, packages = project["project"], project["tool"]["setuptools"]["packages"]
    for name in packages:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGE / name, target / name, ignore=ignore, dirs_exist_ok=True)
    write_distribution(target, facts["name"], version or facts["version"], facts["entry-points"]["camaudit.metrics"])


def write_distribution(target: Path, name: str, version: str, metrics: dict[str, str]) -> None:
    """Write the ``dist-info`` of a distribution that offers ``metrics``, from a name to ``module:attribute``."""
    folder = target / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    points = "".join(f"{metric} = {place}\n" for metric, place in metrics.items())
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "entry_points.txt").write_text(f"[camaudit.metrics]\n{points}")
    (folder / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    (folder / "INSTALLER").write_text("pip\n")
    (folder / "RECORD").write_text("")
