"""Metrics of installed packages: found, checked, recorded; or refused with the reason."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.checks.names import installed_metric_names
from pipeline.config import OverlapConfig
from pipeline.config_file import load_config
from pipeline.errors import ConfigError
from pipeline.evidence.metrics.plugins import load_metrics
from pipeline.evidence.metrics.registry import METRICS, measured_metrics
from pipeline.walk.map_plan import recipes_of
from tests.pipeline.planted import plant
from tests.plugin_install import PACKAGE, install, write_distribution

ROOT = Path(__file__).resolve().parents[4]
DECLARED = """
from camaudit.metrics import Undefined, metric

@metric({name!r}, title={title!r}, definition="d", unit={unit!r}, better="higher", range=(0.0, 1.0), chance="none",
        invariant=(), version=1)
def measure(overlap):
    {body}

def plain(overlap):
    return 0.5
"""
SHARE = "overlap.require_mask(); return float((overlap.evidence.region & overlap.mask).sum() / overlap.mask.sum())"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that installs a module with a metric for this test, under a name of its own."""

    def put(entry="extra", attribute="measure", name="extra", unit="1", body=SHARE, text=None, title=None):
        module = f"plugin_of_{abs(hash((str(tmp_path), entry, attribute, name, unit, body, text, title)))}"
        (tmp_path / f"{module}.py").write_text(
            text
            or DECLARED.format(
                name=name, unit=unit, body=body, title=title or f"Title of {name.replace(chr(95), chr(32))}"
            )
        )
        write_distribution(
            tmp_path,
            f"camaudit-{entry.replace('_', '-')}-{len(list(tmp_path.iterdir()))}",
            "1.2",
            {entry: f"{module}:{attribute}"},
        )
        return module

    monkeypatch.syspath_prepend(tmp_path)
    return put


def test_nothing_is_installed_here():
    assert load_metrics() == METRICS
    assert installed_metric_names() == ()


def test_an_installed_metric_stands_behind_camaudits_own(installed, tmp_path):
    module = installed()
    metrics = load_metrics()
    assert list(metrics) == [*METRICS, "extra"]
    facts = metrics["extra"].facts
    assert (facts.package, facts.package_version) == ("camaudit-extra-1", "1.2")
    assert facts.source_sha256 == hashlib.sha256((tmp_path / f"{module}.py").read_bytes()).hexdigest()
    assert installed_metric_names() == ("extra",)
    assert load_metrics() is not metrics  # nothing is kept between two runs


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        ({"attribute": "plain"}, "plain lacks a declaration: put @metric"),
        ({"attribute": "gone"}, "cannot be imported (AttributeError"),
        ({"text": "import nowhere_to_be_found"}, "cannot be imported (ModuleNotFoundError: No module named"),
        ({"text": "raise RuntimeError('two\\nlines')"}, "cannot be imported (RuntimeError: two lines)"),
        ({"name": "extra_"}, "its entry point is called otherwise than the metric, 'extra_'"),
        ({"name": "Extra"}, "cannot be imported (ValueError: metric 'Extra': name must be"),
        ({"entry": "iou", "name": "iou"}, "the name 'iou' is taken by camaudit"),
        ({"entry": "auroc", "name": "auroc"}, "the name 'auroc' is taken by camaudit"),
        ({"entry": "patient", "name": "patient"}, "the name 'patient' is taken by camaudit"),
        ({"entry": "hd95_mm", "name": "hd95_mm"}, "the name 'hd95_mm' is taken by camaudit"),
        ({"title": "IoU"}, "the title 'IoU' is taken by camaudit"),
        ({"title": "hit-rate"}, "the title 'hit-rate' is taken by camaudit"),
        ({"title": "Auroc"}, "the title 'Auroc' is taken by camaudit"),
        ({"body": "return 1.5"}, "metric 'extra' returns 1.5 on blob 0 in 2D, outside of its range (0.0, 1.0)"),
        ({"body": "return float('nan')"}, "metric 'extra' returns nan on blob 0 in 2D"),
        ({"body": "return 1 / overlap.mask.sum()"}, "metric 'extra' returns inf on an empty mask in 2D"),
        ({"body": "raise Undefined('Peter, 1950')"}, "metric 'extra' raises ValueError on blob 0 in 2D"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_metric_that_does_not_hold_is_refused_with_the_reason(installed, plugin, says):
    installed(**plugin)
    entry = plugin.get("entry", "extra")
    with pytest.raises(ConfigError) as refused:
        load_metrics()
    assert str(refused.value).startswith(
        f"the metric {entry!r} of the installed package camaudit-{entry.replace('_', '-')}-1 1.2 is refused: "
    )
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("overlap", "criteria", "more"),
    [
        ({}, [], set()),
        ({"metrics": "hd95"}, [], {"hd95"}),
        (
            {},
            [{"metric": "hd95", "method": "gradcam", "at_most": 9}, {"metric": "accuracy", "at_least": 0.5}],
            {"hd95"},
        ),
    ],
)
def test_a_run_measures_what_is_named_and_what_is_installed(installed, tmp_path, overlap, criteria, more):
    """Distances cost several times the other metrics together: they are measured where they are asked for."""
    installed()
    config = load_config(plant(tmp_path / "audit", 1, overlap=overlap, criteria=criteria))
    usual = set() if "metrics" in overlap else set(OverlapConfig().metrics)
    measured = measured_metrics(config, load_metrics())
    assert set(measured) == {"extra", *usual, *more}
    assert list(measured) == [name for name in load_metrics() if name in measured]


def test_two_packages_cannot_have_one_name(installed):
    installed()
    installed(body=f"{SHARE} ")
    with pytest.raises(ConfigError, match="the name 'extra' is taken by camaudit-extra-1"):
        load_metrics()


def test_what_a_score_follows_from_names_package_version_and_code(tmp_path, monkeypatch):
    config = load_config(plant(tmp_path / "audit", 1))
    folders = []

    def recipe(version, code=""):
        folder = tmp_path / f"site{len(folders)}"
        folders.append(folder)
        install(folder, version)
        file = folder / "camaudit_energy_distance/metric.py"
        file.write_text(file.read_text() + code)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(folder)
            for name in [name for name in sys.modules if name.startswith("camaudit_energy_distance")]:
                patch.delitem(sys.modules, name)
            metrics = load_metrics().values()
            for name in [name for name in sys.modules if name.startswith("camaudit_energy_distance")]:
                del sys.modules[name]
        return recipes_of(config, ("1",), ["weights"], [metric.identity for metric in metrics]).scores["gradcam", "1"]

    first = recipe("0.3.1")
    assert recipe("0.3.1") == first
    others = {
        recipe("0.3.2"),
        recipe("0.3.1", "\n# edited in place\n"),
        recipes_of(config, ("1",), ["weights"], [metric.identity for metric in METRICS.values()]).scores[
            "gradcam", "1"
        ],
    }
    assert len(others | {first}) == 4


RUN = """
import sys

from flows.cli import main
sys.argv = ["camaudit", "run", sys.argv[1]]
main()
"""
CHECK = """
from camaudit.testing.metrics import check_metric
from camaudit_energy_distance.metric import energy_distance

check_metric(energy_distance)
"""


def in_another_process(site, code, *arguments):
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )


def test_the_packages_own_test_passes(tmp_path):
    install(tmp_path)
    done = in_another_process(tmp_path, CHECK)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A run beside which the package is installed, in a process of its own, as a user starts it."""
    folder = tmp_path_factory.mktemp("plugin")
    install(folder / "site")
    config = plant(
        folder / "audit",
        30,
        explain={"methods": ["gradcam"]},
        criteria=[
            {"metric": "energy_distance", "method": "gradcam", "better_than": "centre_prior", "wins": 0.5},
            {"metric": "hd95", "method": "gradcam", "within": 40, "at_least": 0.5},
            {"metric": "centre_distance", "method": "centre_prior", "better_than": "random_map", "wins": 0.5},
            {
                "metric": "energy_distance",
                "method": "gradcam",
                "at_least": 0.001,
                "reversed": True,
                "statistic": "median",
            },
        ],
        run={"batch_size": 8, "device": "cpu", "replicates": 200, "engine": "local", "workers": 0},
        report={"cases": {"worst": 1, "best": 1, "random": 0}, "pictures": "all"},
    )
    done = in_another_process(folder / "site", RUN, config)
    assert done.returncode == 0, done.stderr[-2000:]
    (report,) = (folder / "audit").rglob("report.pdf")
    return report.parent


def test_an_installed_metric_goes_from_the_records_to_the_page(audited):
    from pipeline.findings.results import load_results
    from pipeline.findings.shards import read_shard

    rows = [audit for path in (audited / "shards").glob("*.parquet") for audit in read_shard(path)]
    scores = [
        score for row in rows for entry in row.map_scores for score in entry.scores if score.name == "energy_distance"
    ]
    assert scores
    assert {score.version for score in scores} == {2}
    assert all(score.value is not None and score.chance > 0 for score in scores)
    results = load_results(audited)
    (facts,) = (facts for facts in results.metrics if facts.name == "energy_distance")
    assert (facts.package, facts.package_version, facts.version) == ("camaudit-energy-distance", "0.3.1", 2)
    assert (facts.unit, facts.better, facts.range) == ("mm", "lower", (0.0, None))
    assert (
        facts.source_sha256 == hashlib.sha256((PACKAGE / "camaudit_energy_distance/metric.py").read_bytes()).hexdigest()
    )
    head = (audited / "per_study.csv").read_text().splitlines()[0].split(",")
    assert {"energy_distance_mm", "energy_distance_undefined", "hd95_mm", "centre_distance_mm", "iou"} <= set(head)


def test_where_lower_is_better_a_run_is_judged_by_it(audited):
    """The planted network looks where the truth is: nearer than a baseline, in nearly every study."""
    from pipeline.findings.results import load_results

    results = load_results(audited)
    nearer, surface, prior, meant = results.verdicts
    assert nearer.estimate.low > 0.5
    assert (nearer.answer, surface.answer, meant.answer) == ("MET", "MET", "MET")
    assert meant.rule == "median at least 0.001, although lower is better"
    estimates = {
        e.method: e
        for e in results.estimates
        if (e.metric, e.among, e.group) == ("energy_distance", "reference_positive", None)
    }
    noise = estimates["random_map"]
    assert noise.value == pytest.approx(noise.chance, rel=0.1)
    assert estimates["gradcam"].value < noise.chance
    assert prior.answer in ("MET", "INCONCLUSIVE", "NOT MET")
    values = {
        entry.study: [
            s.value
            for m in entry.audit.map_scores
            for s in m.scores
            if (m.method, s.name) == ("gradcam", "energy_distance")
        ]
        for entry in results.cases
    }
    worst, best = (next(c.study for c in results.cases if c.rule.startswith(word)) for word in ("worst", "best"))
    assert sum(values[worst]) > sum(values[best])
    assert "Energy distance of Grad-CAM (lower is better)" in results.case_rule


def test_the_report_says_which_end_is_the_good_one(audited):
    from tests.reports.test_pdf import text_of, tool

    text = " ".join(text_of(audited / "report.pdf").split())
    plain = subprocess.run([tool("pdftotext"), audited / "report.pdf", "-"], capture_output=True, check=True)
    assert b"camaudit-energy-distance0.3.1" in b"".join(plain.stdout.split())
    for words in (
        "Energy distance, mm",
        "more than 50 %",
        "within 40 mm in at least 50 % of patients",
        "median at least 0.001 mm, although lower is better",
        "← lower is better",
        "higher is better →",
        "chance",
        "HD95, mm ↓",
        "↓: lower is better.",
        "0 or more,",
    ):
        assert words in text, words


VERIFY = """
import sys

from flows.cli import main
sys.argv = ["camaudit", "verify", sys.argv[1]]
main()
"""


def test_a_run_with_an_installed_metric_verifies_with_and_without_the_package(audited, tmp_path, monkeypatch):
    monkeypatch.delenv("CAMAUDIT_REGISTER")  # the run knows where its own lies
    for site in (audited.parents[3] / "site", tmp_path):
        done = in_another_process(site, VERIFY, audited)
        assert done.returncode == 0, done.stdout + done.stderr
