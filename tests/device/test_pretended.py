"""The pretended device refuses what a device refuses, allows what it allows, and counts the waits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.device.happenings import DeviceMistakeError
from tests.device.pretended import pretended_cuda


def there(*shape):
    return torch.rand(*shape).to("cuda")


REFUSED = {
    "operands of two devices": lambda: there(3) + torch.rand(3),
    "an index made on the host": lambda: there(3, 4).gather(1, torch.arange(3)[:, None]),
    "its array": lambda: there(3).numpy(),
    "its array by numpy": lambda: np.asarray(there(3)),
    "a host's tensor indexed by a device's": lambda: torch.rand(3)[there(3).argmax()[None]],
    "a host's generator": lambda: torch.rand(3, device="cuda", generator=torch.Generator()),
    "weights on the host": lambda: nn.functional.linear(there(2, 3), torch.rand(4, 3)),
    "a concatenation": lambda: torch.cat([there(2), torch.rand(2)]),
    "values put by index": lambda: there(3).index_put_((torch.tensor([0]),), torch.rand(1)),
    "a choice": lambda: torch.where(there(3) > 0, there(3), torch.zeros(3)),
    "a product": lambda: torch.einsum("ij,jk->ik", there(2, 3), torch.rand(3, 2)),
    "a model left behind": lambda: nn.Conv3d(1, 1, 3)(there(1, 1, 4, 4, 4)),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_of_devices_is_refused(mistake):
    with pretended_cuda() as meter:
        with pytest.raises(DeviceMistakeError):
            REFUSED[mistake]()
        assert len(meter.faults) == 1


def test_what_a_device_allows_is_allowed():
    with pretended_cuda() as meter:
        x = there(3)
        x + torch.tensor(2.0), x[torch.tensor([0, 1])], torch.where(x > 0, x, 1.0), torch.zeros(3, device="cuda") + x
        assert not meter.faults


def test_waits_are_counted_with_their_lines():
    with pretended_cuda([Path(__file__).parent]) as meter:
        x = there(3)
        meter.clear()
        float(x.sum()), bool(x.any()), x.cpu(), x.nonzero(), x[x > 0], x.tolist()
    assert meter.kinds() == {"value": 3, "to_host": 1, "shape": 2}
    assert meter.waits() == 6
    assert {line.partition(":")[0] for _, line in meter.lines()} == {"device/test_pretended.py"}


def test_double_precision_on_the_device_is_told_and_is_no_wait():
    with pretended_cuda() as meter:
        x = there(3)
        meter.clear()
        x.double() + 1
    assert meter.kinds() == {"float64": 2}
    assert meter.waits() == 0


def test_a_copy_from_pinned_memory_is_no_wait_where_it_may_go_on():
    with pretended_cuda() as meter:
        pinned = torch.rand(3).pin_memory()
        pinned.to("cuda", non_blocking=True)
        assert meter.waits() == 0
        pinned.to("cuda")
        torch.rand(3).to("cuda", non_blocking=True)
        assert meter.kinds() == {"to_device": 2}


def test_gradients_come_back_to_the_device():
    with pretended_cuda() as meter:
        x = there(2, 1, 8, 8).requires_grad_()
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2)).to("cuda")
        model(x).sum().backward()
        assert x.grad.is_cuda
        assert not meter.faults


def test_outside_there_is_no_device():
    with pretended_cuda():
        pass
    assert not torch.cuda.is_available()
