"""Whatever a forger writes into the files of pictures, a page comes out that says so or shows it; never a traceback."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from pipeline.findings.pictures.array_file import write_arrays
from pipeline.findings.pictures.panels import load_panels, save_panels
from reports.viewer.build import open_context, payload_of, write_page
from tests.reports.viewer.example_run import CT, write_viewed_run

WRONG = (None, "", "x", -1, 0, 1.5, 1e308, float("nan"), float("inf"), True, [], {}, [1], [[1]], {"a": 1}, "\u202e" * 9)


def places_in(value, path=()):
    """Yield the place of each value in nested JSON."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from places_in(each, (*path, key))


def forged(facts, generator):
    """Return facts with one value replaced, or cut out."""
    changed = json.loads(json.dumps(facts))
    *before, last = generator.choice(list(places_in(changed)))
    parent = changed
    for key in before:
        parent = parent[key]
    if generator.random() < 0.3:
        del parent[last]
    else:
        parent[last] = generator.choice(WRONG)
    return changed


def reshaped(arrays, generator):
    """Return arrays of which one is gone, short, of another type, or not finite."""
    name = generator.choice([name for name in arrays if name != "facts"])
    array = arrays[name]
    changed = generator.choice(
        [
            None, array.reshape(-1), array[:0], array[:-1], array[None], array.astype(np.complex64),
            array.astype(object).astype(str), np.full(array.shape, np.nan), array.astype(np.float64) * np.inf,
        ]
    )  # fmt: skip
    return {key: value for key, value in (arrays | {name: changed}).items() if value is not None}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_viewed_run(tmp_path_factory.mktemp("viewed") / "run")


def test_files_that_do_not_fit_each_other_are_named(run, tmp_path):
    path = run / f"cases/{CT}.npz"
    sound = path.read_bytes()
    panels = load_panels(path)
    ranges = {**panels.ranges, "layercam": (0.0, 1.0)}
    save_panels(replace(panels, ranges=ranges), path)
    assert payload_of(open_context(run), 0) is None
    save_panels(replace(panels, ranges=ranges, thresholds={**panels.thresholds, "layercam": None}), path)
    assert payload_of(open_context(run), 0) is None
    path.write_bytes(sound)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [f"cases/{CT}.npz", f"cases/{CT}.volume.npz"])
def test_a_forged_file_is_shown_or_named(run, tmp_path, name):
    path = run / name
    sound, generator = path.read_bytes(), random.Random(18)
    with np.load(path) as file:
        arrays = dict(file)
    facts = json.loads(str(arrays["facts"]))
    refused = 0
    for number in range(150):
        changed = arrays if number % 3 else reshaped(arrays, generator)
        content = changed | ({"facts": np.array(json.dumps(forged(facts, generator)))} if number % 3 else {})
        write_arrays(path, content)
        refused += payload_of(open_context(run), 0) is None
    path.write_bytes(b"PK\3\4 no archive")
    page = write_page(run, tmp_path / "report.html").page.read_text()
    assert "is missing or cannot be read" in page
    path.write_bytes(sound)
    assert 50 < refused <= 150
