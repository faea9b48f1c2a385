"""Every method's map of a network whose weights are written down, against the map that was kept with this version.

``python -m flows.qualification.maps`` writes the kept maps anew; each change of them is a change of results.
"""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cam import METHODS, explain
from flows.qualification.known import tried
from pipeline.findings.signed.qualification import KnownCase

__all__ = ["map_cases"]

_KEPT = Path(__file__).with_name("kept_maps.json")
_SAMPLES = 24  # values of a map that are kept, evenly over its cells
_TOLERANCE = 1e-3  # of the map's largest value
_SIZE = 16
_AREA = "Maps"
_OPTIONS: Mapping[str, Mapping[str, object]] = {
    "lime": {"samples": 64},
}


class _Network(nn.Module):
    """Two convolutions, an average and a linear layer; every weight is a cosine of its place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.classify = nn.Linear(6, 2)
        self.first_active, self.second_active = nn.ReLU(), nn.ReLU()
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                places = torch.arange(parameter.numel(), dtype=torch.float64)
                values = torch.cos(places * (1.7 + 0.3 * number) + number)
                parameter.copy_((0.6 * values).reshape(parameter.shape).float())
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Return two logits for each picture (B, 1, H, W)."""
        x = self.second_active(self.second(self.first_active(self.first(x))))
        return self.classify(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


def _picture() -> Tensor:
    rows = torch.arange(_SIZE, dtype=torch.float64)
    waves = 0.3 * torch.sin(0.7 * rows)[:, None] + 0.2 * torch.cos(0.4 * rows)[None, :]
    waves[4:8, 9:13] += 1.0
    return waves.float()[None, None]


def map_cases() -> Iterator[KnownCase]:
    """Yield a case for each method: its map of the known network and picture."""
    kept = json.loads(_KEPT.read_text())
    for name, method in METHODS.items():
        if method.package is None:
            expected = kept.get(name)
            yield tried(
                _AREA,
                f"map.{name}",
                f"{method.title} of a known network and picture",
                "as kept" if isinstance(expected, Mapping) else str(expected),
                partial(_agreement, name, expected),
                f"{_TOLERANCE:g} x largest",
            )


def _agreement(name: str, expected: Any) -> str:  # noqa: ANN401
    measured = _map(name)
    if not isinstance(expected, Mapping) or not isinstance(measured, Mapping):
        return measured if isinstance(measured, str) else "a map that was not kept"
    if measured["shape"] != expected["shape"]:
        return f"a map of the shape {measured['shape']}"
    largest = max(abs(value) for value in (*expected["values"], expected["largest"]))
    pairs = zip((*measured["values"], measured["largest"]), (*expected["values"], expected["largest"]), strict=True)
    off = max(abs(value - other) for value, other in pairs) / (largest or 1.0)
    return "as kept" if off <= _TOLERANCE else f"off by {off:.2g} of the largest value"


def _map(name: str) -> dict[str, Any] | str:
    """Return some values of a method's map; why there is none where the method refuses the network."""
    torch.manual_seed(0)
    options = {name: dict(_OPTIONS[name])} if name in _OPTIONS else None
    try:
        explanation = explain(_Network(), _picture(), target=1, methods=name, layers=["second_active"], options=options)
    except ValueError:
        return "refused for this network"
    (values,) = explanation.maps.values()
    cells = values[0].detach().double()
    flat = cells.flatten()
    step = max(1, len(flat) // _SAMPLES)
    return {
        "shape": list(cells.shape),
        "values": [round(float(value), 7) for value in flat[::step]],
        "largest": round(float(flat.abs().max()), 7),
    }


if __name__ == "__main__":
    maps = {name: _map(name) for name, method in METHODS.items() if method.package is None}
    _KEPT.write_text(json.dumps(maps, indent=0) + "\n")
