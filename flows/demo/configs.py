"""What the demo's two modalities are: networks, preparation, criteria; and the four ``audit.yaml``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["CT", "DX", "KINDS", "MODALITIES", "Kind", "Modality", "write_config"]

Kind = Literal["sound", "shortcut"]

KINDS: tuple[Kind, ...] = ("sound", "shortcut")


@dataclass(frozen=True)
class Modality:
    """One modality of the demo: everything that its sound and its shortcut model have in common.

    ``labels`` holds the negative and the positive label. ``network`` and ``prepare`` are in MONAI's ``_target_``
    syntax. ``scenes`` are drawn for training and each is seen ``epochs`` times.
    """

    name: Literal["dx", "ct"]
    labels: tuple[str, str]
    output: Literal["softmax", "single_logit"]
    network: Mapping[str, Any]
    prepare: tuple[Mapping[str, Any], ...]
    scenes: int
    epochs: int
    criteria: tuple[Mapping[str, Any], ...]
    report: Mapping[str, Any]


def _network(spatial_dims: int, outputs: int, blocks: Sequence[tuple[int, int, int]]) -> dict[str, Any]:
    """Return a small network: blocks of (channels, kernel, stride), the strongest place of each channel, a linear head.

    The maximum, not the mean, is pooled: a finding fills one or two of a hundred cells, and a mean would need far
    more training to notice it. A kernel of 4 with a stride of 2 keeps every cell in the middle of its own pixels.
    """
    layers, before = [], 1
    for channels, kernel, stride in blocks:
        layers.append(
            {
                "_target_": "monai.networks.blocks.Convolution",
                "spatial_dims": spatial_dims,
                "in_channels": before,
                "out_channels": channels,
                "kernel_size": kernel,
                "strides": stride,
                "padding": 1,
                "adn_ordering": "NA",
                "act": "RELU",
                "norm": "BATCH",
            }
        )
        before = channels
    replaced = [{"_target_": "torch.nn.Identity"}] * 2  # the adapter puts its own pooling and head in their place
    return {
        "_target_": "monai.networks.nets.NetAdapter",
        "model": {"_target_": "torch.nn.ModuleList", "modules": [*layers, *replaced]},
        "num_classes": outputs,
        "dim": spatial_dims,
        "in_channels": before,
        "pool": ["adaptivemax", {"output_size": 1}],
    }


DX = Modality(
    name="dx",
    labels=("clear", "nodule"),
    output="softmax",
    network=_network(2, 2, ((12, 4, 2), (24, 4, 2), (24, 3, 1))),
    prepare=(
        {"_target_": "ScaleIntensityRangePercentiles", "lower": 1, "upper": 99, "b_min": 0, "b_max": 1, "clip": True},
        {"_target_": "Resize", "spatial_size": [96, 84], "mode": "area"},
    ),
    scenes=384,
    epochs=8,
    criteria=(),
    report={},
)

CT = Modality(
    name="ct",
    labels=("clear", "lesion"),
    output="single_logit",
    network=_network(3, 1, ((8, 4, 2), (16, 3, 1), (16, 3, 1))),
    prepare=(
        {"_target_": "Orientation", "axcodes": "RAS"},
        {"_target_": "Spacing", "pixdim": [7, 7, 8], "mode": "bilinear"},
        {"_target_": "ScaleIntensityRange", "a_min": -1000, "a_max": 500, "b_min": 0, "b_max": 1, "clip": True},
        {"_target_": "ResizeWithPadOrCrop", "spatial_size": [40, 40, 32]},
    ),
    scenes=128,
    epochs=8,
    criteria=(),
    report={},
)

MODALITIES = (DX, CT)
