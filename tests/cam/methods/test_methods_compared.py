"""The table of other packages' methods against the registry, the packages themselves, and the page made of it."""

import importlib
import importlib.metadata
import inspect

import pytest

from cam import METHODS
from tests.cam.methods.compared_page import PAGE, packages, page

BY_NAME = {package["name"]: {row["name"]: row for row in package["rows"]} for package in packages()}


def test_a_row_names_methods_of_the_registry_or_says_why_there_is_none():
    for package, rows in BY_NAME.items():
        assert len(rows) == next(len(entry["rows"]) for entry in packages() if entry["name"] == package), "named twice"
        for name, row in rows.items():
            assert ("ours" in row) != ("why" in row), f"{package} {name}: either ours or why"
            assert set(row.get("ours", ())) <= set(METHODS), f"{package} {name}"
            assert row.get("why") or row.get("ours"), f"{package} {name} says nothing"


def test_the_page_is_made_from_the_data():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.cam.methods.compared_page"


def test_every_attribution_of_captum_has_a_row():
    attr = importlib.import_module("captum.attr")
    abstract = {
        "Attribution",
        "GradientAttribution",
        "PerturbationAttribution",
        "NeuronAttribution",
        "LayerAttribution",
    }
    offered = {
        name
        for name in attr.__all__
        if inspect.isclass(getattr(attr, name)) and hasattr(getattr(attr, name), "attribute") and name not in abstract
    }
    assert offered <= set(BY_NAME["captum"]), sorted(offered - set(BY_NAME["captum"]))
    unknown = [name for name in BY_NAME["captum"] if not hasattr(attr, name)]
    assert not unknown


def test_every_composite_and_attributor_of_zennit_has_a_row(zennit):
    composites = zennit("composites")
    attribution = zennit("attribution")
    classes = [each for _, each in inspect.getmembers(attribution, inspect.isclass)]
    attributors = {each.__name__ for each in classes if issubclass(each, attribution.Attributor)} - {"Attributor"}
    assert set(BY_NAME["zennit"]) == set(composites.COMPOSITES) | attributors


@pytest.mark.parametrize("package", BY_NAME)
def test_the_packages_that_are_installed_have_the_version_that_is_stated(package):
    try:
        version = importlib.metadata.version({"pytorch-grad-cam": "grad-cam"}.get(package, package))
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    assert version == next(entry["version"] for entry in packages() if entry["name"] == package)
