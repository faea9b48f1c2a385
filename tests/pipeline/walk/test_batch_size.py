"""How many studies the model is shown at once, found and halved: rows and maps are the same whatever the size."""

import numpy as np
import pytest
import torch

from pipeline.errors import Reason, StudyError
from pipeline.experiments.bench import Bench
from pipeline.walk.batch_size import BatchLimit, BatchSize, largest_batch, usual_batch
from pipeline.walk.study_walk import audit_studies
from tests.pipeline.test_faults import opened

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
OUT_OF_MEMORY = {
    "a device's": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "the host's": lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8589934592 bytes"),
    "a library's": lambda: RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "Python's": MemoryError,
}


def refusing(network, most, error, shown):
    """Let a network raise above so many pictures together."""

    def before(_module, inputs):
        shown.append(len(inputs[0]))
        if len(inputs[0]) > most:
            raise error()

    return network.register_forward_pre_hook(before)


@pytest.mark.parametrize("kind", OUT_OF_MEMORY)
def test_a_batch_that_memory_ran_out_for_is_halved_and_never_tried_again(tmp_path, kind):
    auditor, sources = opened(tmp_path, 12, batch_size=8)
    expected, maps = audit_studies(auditor, sources)
    shown = []
    refusing(auditor.network, 2, OUT_OF_MEMORY[kind], shown)
    audits, again = audit_studies(auditor, sources)
    assert audits == expected
    assert maps.keys() == again.keys()
    assert all(np.array_equal(maps[key], again[key]) for key in maps)
    assert auditor.batch_limit.most == 2
    assert all(size <= 2 for size in shown[shown.index(2) :])
    audit_studies(auditor, sources)
    assert shown.count(8) == 0 or shown.index(8) < shown.index(2)


def test_a_study_that_does_not_fit_alone_is_a_row(tmp_path):
    auditor, sources = opened(tmp_path, 3, batch_size=4)
    refusing(auditor.network, 0, OUT_OF_MEMORY["a device's"], [])
    audits, _ = audit_studies(auditor, sources)
    assert {audit.reason for audit in audits} == {Reason.OUT_OF_MEMORY}
    assert auditor.batch_limit.most == 1


def test_another_fault_leaves_the_size_alone(tmp_path):
    auditor, sources = opened(tmp_path, 4, batch_size=4)
    refusing(auditor.network, 1, lambda: RuntimeError("a shape is wrong"), [])
    audits, _ = audit_studies(auditor, sources)
    assert {audit.status for audit in audits} == {"analysed"}
    assert auditor.batch_limit.most is None


def test_an_experiment_halves_its_batches_too(tmp_path):
    auditor, sources = opened(tmp_path, 6, batch_size=6)
    bench = Bench(auditor, "sanity", tuple(sources), (1, 1, 1))
    pictures = torch.rand(6, 1, 48, 48, 48, generator=torch.Generator().manual_seed(0))
    expected, maps = bench.logits(pictures), bench.maps(pictures, ["lesion"] * 6)
    shown = []
    refusing(auditor.network, 3, OUT_OF_MEMORY["a device's"], shown)
    assert np.array_equal(bench.logits(pictures), expected)
    again = bench.maps(pictures, ["lesion"] * 6)
    assert all(np.array_equal(one[name], other[name]) for one, other in zip(maps, again, strict=True) for name in one)
    assert max(shown[1:]) == 3
    refusing(auditor.network, 0, OUT_OF_MEMORY["a device's"], [])
    with pytest.raises(StudyError) as fault:
        bench.answers(pictures)
    assert fault.value.reason == Reason.OUT_OF_MEMORY


def test_auto_doubles_on_a_device_and_begins_anew_with_each_shard():
    limit, sizes = BatchLimit(), []
    for _ in range(2):
        size = BatchSize(usual_batch("auto"), largest_batch("auto", CUDA), limit)
        for _ in range(6):
            sizes.append(size.now())
            size.filled()
        limit.ran_out(64)
    assert sizes == [8, 16, 32, 64, 128, 128, 8, 16, 32, 32, 32, 32]
    assert (usual_batch("auto"), largest_batch("auto", CPU)) == (8, 8)
    assert (usual_batch(5), largest_batch(5, CUDA)) == (5, 5)


def test_a_limit_never_rises():
    limit = BatchLimit()
    assert limit.within(100) == 100
    for size in (64, 128, 3, 1):
        limit.ran_out(size)
    assert limit.within(100) == 1


def test_auto_gives_the_rows_of_a_given_size(tmp_path):
    found, alone = (audit_studies(*opened(tmp_path / str(size), 9, batch_size=size))[0] for size in ("auto", 1))
    scores = [[entry.scores for audit in audits for entry in audit.map_scores] for audits in (found, alone)]
    assert len(scores[0]) > 9
    assert scores[0] == scores[1]
