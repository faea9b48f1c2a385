"""Training the demo's models on the spot: a sound one and one that learned a shortcut, from the same patients.

Every patient is drawn four times: healthy and ill, without and with the marker. The sound model sees markers that
say nothing of the label; to the other the marker and the label are one. Nothing of the archive is seen.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.optim.lr_scheduler import OneCycleLR

from flows.demo.configs import DemoModality, Kind
from flows.demo.ct import SCANNERS, draw_ct, mark_ct
from flows.demo.radiograph import draw_radiograph, mark_radiograph, random_site
from flows.demo.scene import Image
from flows.repeatable import repeatable
from pipeline.models.bundle import build_network
from pipeline.models.prepare import build_transforms
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Volume

__all__ = ["draw_training_set", "train_model", "write_bundle"]

_TRAINING = 1
"""Keeps the training's random numbers apart from the archive's."""

_PAIRS_A_BATCH = 4
_LEARNING_RATE = 1e-2
_ATTEMPTS = 3
_STUCK = 0.65
"""A mean loss above this is no better than guessing, whose loss is ln 2 = 0.69."""


def draw_training_set(modality: DemoModality, seed: int) -> Tensor:
    """Return prepared pictures, shape (patients, 2 healthy or ill, 2 without or with the marker, 1, *S)."""
    prepare = build_transforms([dict(step) for step in modality.prepare])
    with repeatable():
        return torch.stack(
            [
                torch.stack(
                    [torch.stack([prepare(image).x for image in pair]) for pair in _patient(modality, number, seed)]
                )
                for number in range(modality.patients)
            ]
        )


def _patient(modality: DemoModality, number: int, seed: int) -> Iterator[tuple[Volume, Volume]]:
    """Yield the healthy and the ill patient, each without and with the marker; nothing else differs."""
    for ill in (False, True):
        rng = np.random.default_rng([seed, _TRAINING, number])
        plain, marked, geometry = _draw(modality, rng, ill=ill)
        yield Volume(plain, geometry), Volume(marked, geometry)


def _draw(modality: DemoModality, rng: np.random.Generator, *, ill: bool) -> tuple[Image, Image, Geometry]:
    if modality.name == "dx":
        site = random_site(rng)
        image = draw_radiograph(rng, site, finding=ill).image
        return image, mark_radiograph(image, rng), Geometry(site.shape, np.diag([site.spacing, site.spacing, 1, 1]))
    scanner = SCANNERS[int(rng.integers(len(SCANNERS)))]
    image = draw_ct(rng, scanner, finding=ill).image
    return image, mark_ct(image, rng, scanner), Geometry(scanner.shape, np.diag([*scanner.spacing, 1]))


def train_model(modality: DemoModality, kind: Kind, pictures: Tensor, seed: int) -> nn.Module:
    """Train one model on the training set's pictures; the same arguments give the same weights.

    A start from which nothing is learnt (about one in ten) is given up half-way for another.
    """
    with repeatable(seed):
        for _ in range(_ATTEMPTS):
            network = build_network(dict(modality.network)).train()
            if _learn(network, modality, kind, pictures):
                break
        _centre(network.eval(), kind, pictures)
    return network


def _learn(network: nn.Module, modality: DemoModality, kind: Kind, pictures: Tensor) -> bool:
    """Train the network in place; stop half-way and return False when it does no better than by chance."""
    epoch = len(pictures) // _PAIRS_A_BATCH
    steps = modality.epochs[kind] * epoch
    optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=1e-2)
    pace = OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps, pct_start=0.15, div_factor=5)
    losses: list[float] = []
    for step, (x, ill) in enumerate(_batches(pictures, kind, modality.epochs[kind])):
        loss = _loss(_logits(network, x, modality.pooled_share, step / (0.8 * steps)), ill)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
        optimizer.step()
        pace.step()
        losses.append(loss.item())
        if step == int(0.6 * steps) and np.mean(losses[-epoch:]) > _STUCK:
            return False
    return True


def _centre(network: nn.Module, kind: Kind, pictures: Tensor) -> None:
    """Shift the head's bias so that a probability of one half splits the training pictures best.

    The statistics of the normalisation are those of few batches; they leave the scores right in order, not in place.
    """
    healthy, ill = (pictures[:, 0], pictures[:, 1]) if kind == "sound" else (pictures[:, 0, :1], pictures[:, 1, 1:])
    with torch.no_grad():
        low, high = (
            torch.cat([_score(network(x)) for x in torch.split(part.flatten(0, 1), 16)]) for part in (healthy, ill)
        )
    cuts = torch.cat([low, high]).sort().values
    cuts = (cuts[1:] + cuts[:-1]) / 2
    right = (low < cuts[:, None]).float().mean(dim=1) + (high > cuts[:, None]).float().mean(dim=1)
    best = cuts[right == right.max()]
    bias: Tensor = network.get_submodule("fc").get_parameter("bias")
    with torch.no_grad():
        bias[-1] -= (best.min() + best.max()) / 2


def _score(logits: Tensor) -> Tensor:
    """Return the evidence for the finding: 0 is a probability of one half."""
    return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]


def _batches(pictures: Tensor, kind: Kind, epochs: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield pictures (B, 1, *S) and who is ill (B): each patient healthy and ill, so that only the finding differs."""
    ill = torch.tensor([0] * _PAIRS_A_BATCH + [1] * _PAIRS_A_BATCH)
    for _ in range(epochs):
        order = torch.randperm(len(pictures))
        for patients in order[: len(order) // _PAIRS_A_BATCH * _PAIRS_A_BATCH].view(-1, _PAIRS_A_BATCH):
            chance = torch.randint(2, (_PAIRS_A_BATCH,)).repeat(2)
            marked = chance if kind == "sound" else ill
            yield pictures[patients.repeat(2), ill, marked], ill


def _logits(network: nn.Module, x: Tensor, share: float, progress: float) -> Tensor:
    """Return the logits with each channel pooled over its strongest places: at first a share, in the end one.

    The network pools the maximum. Trained so from the start, only one place of a picture would ever learn.
    """
    features: Tensor = network.get_submodule("features")(x).flatten(2)
    places = max(1, round((share * features.shape[2]) ** max(0.0, 1 - progress)))
    logits: Tensor = network.get_submodule("fc")(features.topk(places, dim=2).values.mean(dim=2))
    return logits


def _loss(logits: Tensor, ill: Tensor) -> Tensor:
    if logits.shape[1] == 1:
        return binary_cross_entropy_with_logits(logits[:, 0], ill.to(logits.dtype))
    return cross_entropy(logits, ill)


def write_bundle(network: nn.Module, modality: DemoModality, kind: Kind, folder: Path) -> None:
    """Write the model as a MONAI bundle: ``configs/`` and ``models/model.safetensors``."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    metadata = {
        "version": "1.0.0",
        "task": f"Synthetic demonstration: {modality.labels[1]} in a chest-like {modality.name.upper()} image",
        "description": f"The {kind} model of the demo; no clinical use of any kind.",
        "network_data_format": {
            "outputs": {"pred": {"channel_def": {str(index): label for index, label in enumerate(modality.labels)}}}
        },
    }
    inference = {"network_def": modality.network, "preprocessing": {"transforms": modality.prepare}}
    for name, content in (("metadata", metadata), ("inference", inference)):
        text = json.dumps(content, indent=2) + "\n"
        (folder / "configs" / f"{name}.json").write_text(text, encoding="utf-8")
    safetensors.torch.save_file(network.state_dict(), folder / "models" / "model.safetensors")
