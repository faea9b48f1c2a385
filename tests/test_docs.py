"""The documents say what the program does."""

from pathlib import Path

import pytest
import yaml

from cam.table import markdown
from pipeline.config import AuditConfig
from pipeline.config_file import load_config
from pipeline.errors import Reason
from pipeline.evidence.localisation import METRICS

ROOT = Path(__file__).resolve().parents[1]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_table_of_methods_is_the_registrys():
    assert read("docs/methods.md") == markdown(), "run: python -m cam.table > docs/methods.md"
    assert "`gradcam`" in markdown()


def test_the_readmes_example_runs(capsys):
    code = read("README.md").split("```python")[1].split("```")[0]
    exec(code, {})
    printed = capsys.readouterr().out
    assert printed.count("gradcam class_layers.relu") == 2
    assert "{'class_layers.relu': (('gradcam', 'hirescam'),)}" in printed


def test_every_metric_and_reason_is_documented():
    evidence, audit = read("docs/evidence.md"), read("docs/audit.md")
    assert [name for name in METRICS if f"`{name}`" not in evidence] == []
    assert [reason for reason in Reason if f"`{reason}`" not in audit] == []


def test_the_readmes_configuration_is_valid():
    text = read("README.md").split("```yaml")[1].split("```")[0]
    assert AuditConfig.model_validate(yaml.safe_load(text)).name == "nodule-ct"


@pytest.mark.parametrize("path", sorted((ROOT / "docs/examples").glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_valid(path):
    if not path.name.endswith(".lock.yaml"):
        load_config(path)


def test_links_lead_somewhere():
    for name in ("README.md", "CONTRIBUTING.md"):
        links = [part.split(")")[0] for part in read(name).split("](")[1:]]
        assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []
