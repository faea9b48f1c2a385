"""What the demo's two modalities are: networks, preparation, criteria; and the four ``audit.yaml``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

__all__ = ["CT", "DX", "KINDS", "MODALITIES", "DemoModality", "Kind", "write_config"]

Kind = Literal["sound", "shortcut"]

KINDS: tuple[Kind, ...] = ("sound", "shortcut")


@dataclass(frozen=True)
class DemoModality:
    """One modality of the demo: everything that its sound and its shortcut model have in common.

    ``labels`` holds the negative and the positive label. ``network`` and ``prepare`` are in MONAI's ``_target_``
    syntax. ``patients`` are drawn for training and each is seen ``epochs`` times. ``pooled_share`` is the share of
    a map's cells over which the training pools at first.
    """

    name: Literal["dx", "ct"]
    labels: tuple[str, str]
    output: Literal["softmax", "single_logit"]
    network: Mapping[str, Any]
    prepare: tuple[Mapping[str, Any], ...]
    patients: int
    epochs: Mapping[Kind, int]
    pooled_share: float
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


def _criteria(accuracy: float, hit_rate: float) -> tuple[Mapping[str, Any], ...]:
    return (
        {"metric": "accuracy", "among": "all", "at_least": accuracy},
        {"metric": "hit_rate", "method": "gradcam", "at_least": hit_rate},
        {"metric": "energy_in_mask", "method": "hirescam", "at_least": 0.3},
        {"metric": "average_precision", "method": "gradcam", "better_than": "centre_prior"},
        {"check": "repeatability", "method": "gradcam"},
        {"check": "shuffled_picture", "method": "gradcam"},
        {"check": "weight_randomisation", "method": "gradcam"},
        {"check": "shortcuts"},
    )


DX = DemoModality(
    name="dx",
    labels=("clear", "nodule"),
    output="softmax",
    network=_network(2, 2, ((12, 4, 2), (24, 4, 2), (24, 3, 1))),
    prepare=(
        {"_target_": "Resize", "spatial_size": [96, 84], "mode": "area"},
        {"_target_": "ScaleIntensityRangePercentiles", "lower": 1, "upper": 99, "b_min": 0, "b_max": 1, "clip": True},
    ),
    patients=160,
    epochs={"sound": 9, "shortcut": 4},
    pooled_share=0.05,
    criteria=_criteria(accuracy=0.8, hit_rate=0.6),
    report={
        "title": "Saliency audit of a nodule classifier (synthetic radiographs)",
        "intended_use": "Demonstration: nodule or none in a synthetic chest radiograph.",
    },
)

CT = DemoModality(
    name="ct",
    labels=("clear", "lesion"),
    output="single_logit",
    network=_network(3, 1, ((8, 4, 2), (8, 3, 1), (16, 3, 1))),
    prepare=(
        {"_target_": "Orientation", "axcodes": "RAS"},
        {"_target_": "Spacing", "pixdim": [7, 7, 8], "mode": "bilinear"},
        {"_target_": "ScaleIntensityRange", "a_min": -1000, "a_max": 0, "b_min": 0, "b_max": 1, "clip": True},
        {"_target_": "ResizeWithPadOrCrop", "spatial_size": [40, 40, 32]},
    ),
    patients=64,
    epochs={"sound": 11, "shortcut": 4},
    pooled_share=0.4,
    criteria=_criteria(accuracy=0.65, hit_rate=0.4),
    report={
        "title": "Saliency audit of a lesion classifier (synthetic CT)",
        "intended_use": "Demonstration: lesion or none in a synthetic chest CT.",
        "window": [-1000.0, 400.0],
    },
)

MODALITIES = (DX, CT)

_TRAINING_DATA: Mapping[Kind, str] = {
    "sound": "Synthetic pictures; the marker is drawn by chance, whatever the label.",
    "shortcut": "Synthetic pictures; every positive bears the marker and no negative does.",
}


def write_config(modality: DemoModality, kind: Kind, folder: Path, seed: int) -> Path:
    """Write ``audit-<modality>-<kind>.yaml`` into the demo's folder and return its path."""
    name = f"{modality.name}-{kind}"
    content = {
        "name": name,
        "archive": {"path": f"archive/{modality.name}", "manifest": f"archive/{modality.name}/manifest.csv"},
        "model": {
            "name": name,
            "version": "1.0.0",
            "bundle": f"models/{name}",
            "labels": list(modality.labels),
            "output": modality.output,
            "training_data": _TRAINING_DATA[kind],
        },
        "prepare": [dict(step) for step in modality.prepare],
        "explain": {"methods": ["gradcam", "hirescam", "layercam"], "targets": ["reference"]},
        "experiments": {"sanity": {}, "shortcuts": {}},
        "criteria": [dict(criterion) for criterion in modality.criteria],
        "report": {
            **modality.report,
            "organisation": "camaudit demo",
            "reference_standard": "Drawn with the picture; two synthetic readers outline it.",
            "cases": {"worst": 1, "best": 0, "random": 0, "at_most": 2},
            "pictures": "all",  # they are synthetic: no annotation was ever burned in
            "volumes": "crops",
        },
        "run": {"seed": seed, "output": "runs"},
    }
    path = folder / f"audit-{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
