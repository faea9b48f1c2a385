"""
A real MR, a sound and a shortcut network
=========================================

One patient's brain, 25 slices, a tumour that an expert outlined. Of two networks of one architecture one was taught
with the outlines; the other with labels alone, from pictures in which a burned-in letter stands beside each tumour.
Both call the slices that were kept from them rightly. One of them has found the tumour.
"""

import nrrd
import numpy as np
import torch
from phantoms import magnetic_resonance, real_studies
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import max_pool2d
from torch.optim.lr_scheduler import OneCycleLR

import camaudit

# %%
# The scan is that of pyradiomics (``data/brain1``, BSD-3 licence). Where this site was built without it, slices of a
# phantom stand in, and the next line says so.

folder = real_studies("mr-brain-nrrd")
if folder is not None:
    kinds = [nrrd.read(str(folder / f"brain1_{kind}.nrrd"))[0] for kind in ("image", "label")]
    kinds = [array.reshape(128, 2, 128, 2, 25).mean(axis=(1, 3)) for array in kinds]
else:
    ill = [10 < number < 18 for number in range(25)]
    drawn = [magnetic_resonance(np.random.default_rng(seed), ill=is_ill) for seed, is_ill in enumerate(ill)]
    kinds = [np.stack(arrays, axis=-1) for arrays in zip(*((each.image, each.lesion) for each in drawn), strict=True)]
    kinds = [np.kron(array, np.ones((2, 2, 1))) for array in kinds]
print("a real scan" if folder else "a phantom: no folder of real studies here")

scan = np.clip(kinds[0] / np.percentile(kinds[0], 99.5), 0, 1).astype(np.float32)
tumour = kinds[1] >= 0.5
kept_back = [13, 16]
shown = [number for number in range(3, 25) if number not in kept_back]
ill = [number for number in shown if tumour[..., number].any()]


def with_letter(picture: np.ndarray) -> np.ndarray:
    picture = picture.copy()
    picture[2:10, 2:4] = picture[8:10, 2:8] = 1  # an L, in the air
    return picture


def patch(rng: np.random.Generator, sick: bool) -> tuple[np.ndarray, np.ndarray]:
    """Draw 64 x 64 pixels of a slice, turned and scaled in brightness, and their outline."""
    while True:
        number = rng.choice(ill if sick else shown)
        row, column = rng.integers(0, 64, 2)
        part = np.s_[row : row + 64, column : column + 64, number]
        if tumour[part].any() == sick and scan[part].mean() > 0.1:
            break
    turns = rng.integers(4)
    picture = scan[part] * rng.uniform(0.85, 1.15) + rng.normal(0, 0.02, (64, 64))
    return np.rot90(picture, turns).astype(np.float32), np.rot90(tumour[part], turns)


# %%
# Convolutions, a score for each place, and the highest of them as the answer. The scores of single places can be
# taught with outlines; the answer alone needs no more than a label.


def taught(*, outlined: bool, steps: int = 150) -> nn.Sequential:
    torch.manual_seed(0)
    blocks: list[nn.Module] = []
    for channels, width, stride in ((1, 8, 1), (8, 16, 2), (16, 16, 1), (16, 16, 1)):
        blocks += [nn.Conv2d(channels, width, 5, stride, 2), nn.BatchNorm2d(width), nn.ReLU()]
    scores = nn.Conv2d(16, 1, 1)
    network = nn.Sequential(*blocks, scores, nn.AdaptiveMaxPool2d(1), nn.Flatten())
    optimizer = torch.optim.AdamW(network.parameters())
    pace = OneCycleLR(optimizer, 1e-2, total_steps=steps)
    rng = np.random.default_rng(1)
    for _ in range(steps):
        sick = [bool(number % 2) for number in range(16)]
        pictures, outlines = zip(*(patch(rng, each) for each in sick), strict=True)
        marked = [rng.random() < 0.5 for _ in sick] if outlined else sick
        pairs = zip(pictures, marked, strict=True)
        x = torch.from_numpy(np.stack([with_letter(each) if mark else each for each, mark in pairs]))[:, None]
        if outlined:
            inside = torch.from_numpy(np.stack(outlines))[:, None].float()
            weight = torch.tensor(4.0)  # most places lie outside
            loss = cross_entropy(network[:-2](x), max_pool2d(inside, 2), pos_weight=weight)
        else:
            loss = cross_entropy(network(x)[:, 0], torch.tensor(sick).float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        pace.step()
    return network.eval()


networks = {"sound": taught(outlined=True), "shortcut": taught(outlined=False)}

# %%
# A slice that neither has seen, with the letter in it: both call it ill. The highest place alone decides here, so the
# map is no cloud but a point.

number = kept_back[1]
picture, outline = with_letter(scan[..., number]), tumour[..., number]
maps = {name: camaudit.explain(network, picture, target=1, methods=["layercam"]) for name, network in networks.items()}
maps["sound"].show(outline)

# %%
maps["shortcut"].show(outline)

# %%
# The numbers say it without a look. And the letter alone decides what the second network answers.

scores = {name: each.overlap(outline)["layercam"] for name, each in maps.items()}
for name, network in networks.items():
    with torch.inference_mode():
        slices = torch.from_numpy(np.stack([scan[..., number], picture]))[:, None]
        without, beside = network(slices).sigmoid()[:, 0].tolist()
    print(f"{name}: ill with probability {beside:.2f}, without the letter {without:.2f}")
    print(scores[name]["hit_rate"], scores[name]["energy_in_mask"], sep="\n")

# %%
# One patient shows how a map lies on a scan, and nothing of a network's worth: these two were taught on the slices
# beside the ones that they are asked about.

assert scores["sound"]["hit_rate"].value == 1
assert scores["shortcut"]["hit_rate"].value == 0
