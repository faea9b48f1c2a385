"""The benchmarks of large cohorts: few metrics and few studies are measured, or refused in a line."""

import argparse
import sys

import pytest

from pipeline.conclusions.conclude import chosen_cases
from pipeline.packed.items import in_memory
from tests.benchmarks import cohort_memory
from tests.benchmarks.cohort_memory import specification, whole_shards
from tests.benchmarks.cohort_size import growth
from tests.benchmarks.cohort_size.statistics import METRICS, cohort_of, with_metrics


@pytest.mark.parametrize("metrics", range(1, len(METRICS) + 1))
def test_cases_are_ranked_by_a_metric_that_is_measured_however_few_are(metrics):
    spec = with_metrics(specification(), METRICS[:metrics])
    assert {criterion.metric for criterion in spec.config.metric_criteria} == {"hit_rate", "iou"} & {*METRICS[:metrics]}
    _, rule = chosen_cases(spec, cohort_of(spec, 12, in_memory))
    assert any(f"overlap means {facts.title} of" in rule for facts in spec.metrics)


@pytest.mark.parametrize("text", ["0", "200", "750", "-500"])
def test_studies_that_fill_no_whole_shards_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"studies fill whole shards of 500, which {text} do not"):
        whole_shards(text)
    assert whole_shards("1000") == 1000


@pytest.mark.parametrize("benchmark", [cohort_memory, growth])
def test_a_benchmark_says_so_before_it_writes_anything(benchmark, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark", "200"])
    with pytest.raises(SystemExit):
        benchmark.main()
    assert "which 200 do not" in capsys.readouterr().err
