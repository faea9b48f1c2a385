"""A run in half precision says how alike its maps and answers are to float32's; one in float32 says nothing."""

import numpy as np
import pytest
import torch

from pipeline.config import RunConfig
from pipeline.findings.arithmetic import ArithmeticCheck
from pipeline.findings.shards import load_maps
from pipeline.models.arithmetic import arithmetic, arithmetic_in_words, laid_out, layout_of
from pipeline.runs.asked_again import chosen_for_check
from pipeline.runs.reuse import run_answers
from reports.sections.reproducibility import _arithmetic
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_run import change, complete
from tests.pipeline.steps import read_run

RUN = {"batch_size": 2, "device": "cpu", "replicates": 200, "workers": 0}
CPU = torch.device("cpu")


def first_maps(folder):
    _, members = read_run(folder)
    audits = run_answers(folder, members).values()
    return load_maps(folder, [entry for audit in audits for entry in audit.map_scores])


def test_half_precision_is_held_against_float32(tmp_path):
    config = plant(tmp_path, 6, run=RUN, criteria=[])
    plain_folder, plain = complete(config)
    assert plain.provenance.arithmetic is None
    change(config, run=RUN | {"precision": "autocast", "memory_format": "channels_last"})
    folder, results = complete(config)
    assert results.flow.reused == 0  # other numbers than float32's are never carried over, nor called its
    check = results.provenance.arithmetic
    assert check.arithmetic == "autocast (bfloat16), channels last, deterministic"
    assert (check.studies, check.failed, check.answers_changed) == (4, 0, 0)
    assert {kind.method for kind in check.maps} == {"gradcam", "hirescam", "layercam"}
    assert all(kind.maps == 4 and 0.5 < kind.lowest <= kind.median < 1 for kind in check.maps)
    before, after = first_maps(plain_folder), first_maps(folder)
    assert any(not np.array_equal(before[key], after[key]) for key in before)
    words = _arithmetic(check)
    assert "4 studies explained again in float32" in words
    assert "gradcam at" in words
    assert "1.00" not in words


def test_what_did_not_come_out_again_is_said():
    check = ArithmeticCheck(
        arithmetic="float32, fast", studies=2, failed=1, answers_changed=1, probability_gap=None, maps=()
    )
    assert _arithmetic(check) == (
        "float32, fast. 2 studies explained again in float32 (1 more failed): rank correlation of the maps no map can "
        "be compared; other labels called in 1"
    )


def test_recipes_of_plain_arithmetic_are_those_of_earlier_versions():
    assert RunConfig().other_arithmetic == {}
    fast = RunConfig(mode="fast", precision="autocast")
    assert fast.other_arithmetic == {"precision": "autocast", "mode": "fast"}
    assert fast.in_plain_arithmetic() == RunConfig()


def test_studies_lie_evenly_over_the_cohort():
    assert chosen_for_check([]) == []
    assert chosen_for_check(["a", "b"]) == ["a", "b"]
    assert chosen_for_check([str(number) for number in range(71)]) == ["0", "10", "20", "30", "40", "50", "60", "70"]


@pytest.mark.parametrize("axes", [4, 5])
def test_a_layout_is_that_of_the_weights_and_can_be_taken_back(axes):
    kernel = torch.nn.Conv2d(2, 3, 3) if axes == 4 else torch.nn.Conv3d(2, 3, 3)
    network = torch.nn.Sequential(kernel, torch.nn.Flatten(), torch.nn.Linear(3, 2))
    parameters = list(network.parameters())
    laid_out(network, "channels_last")
    assert kernel.weight.is_contiguous(memory_format=layout_of("channels_last", axes))
    assert not kernel.weight.is_contiguous()
    assert list(map(id, network.parameters())) == list(map(id, parameters))
    laid_out(network, "contiguous")
    assert kernel.weight.is_contiguous()


def test_arithmetic_ends_with_its_block():
    product = torch.ones(2, 2)
    with arithmetic(RunConfig(precision="autocast"), CPU):
        assert (product @ product).dtype == torch.bfloat16
    assert (product @ product).dtype == torch.float32
    assert arithmetic_in_words(RunConfig(), CPU) == "float32, deterministic"


@pytest.mark.parametrize("mode", ["deterministic", "fast"])
def test_kernels_of_a_device_are_chosen_for_the_block_alone(mode):
    def chosen():
        backends = torch.backends
        return (
            torch.are_deterministic_algorithms_enabled(),
            backends.cudnn.deterministic,
            not backends.cudnn.benchmark,
            not backends.cudnn.allow_tf32,
            not backends.cuda.matmul.allow_tf32,
        )

    before = chosen()
    with arithmetic(RunConfig(mode=mode), torch.device("cuda")):
        assert chosen() == (mode == "deterministic",) * 5
    assert chosen() == before
