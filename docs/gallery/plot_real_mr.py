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
from torch.nn.functional import binary_cross_entropy_with_logits, max_pool2d
from torch.optim.lr_scheduler import OneCycleLR

import camaudit

# %%
# The scan is that of pyradiomics (``data/brain1``, BSD-3 licence). Where this site was built without it, slices of a
# phantom stand in, and the next line says so.

folder = real_studies("mr-brain-nrrd")
if folder is not None:
    scan, outlines = (nrrd.read(str(folder / f"brain1_{kind}.nrrd"))[0] for kind in ("image", "label"))
    scan, outlines = (array.reshape(128, 2, 128, 2, 25).mean(axis=(1, 3)) for array in (scan, outlines))
else:
    drawn = [magnetic_resonance(np.random.default_rng(number), ill=10 < number < 18) for number in range(25)]
    scan, outlines = (
        np.stack([np.kron(array, np.ones((2, 2))) for array in kind], axis=-1)
        for kind in ([slice_.image for slice_ in drawn], [slice_.lesion for slice_ in drawn])
    )
print("a real scan" if folder else "a phantom: no folder of real studies here")

scan = np.clip(scan / np.percentile(scan, 99.5), 0, 1).astype(np.float32)
tumour = outlines >= 0.5
kept_back = [13, 16]
shown = [number for number in range(3, 25) if number not in kept_back]
ill = [number for number in shown if tumour[..., number].any()]


def with_letter(picture: np.ndarray) -> np.ndarray:
    picture = picture.copy()
    picture[2:10, 2:4] = picture[8:10, 2:8] = 1  # an L, in the air
    return picture


def patch(rng: np.random.Generator, sick: bool, side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Draw a part of a slice, moved, turned and scaled in brightness, and its outline."""
    while True:
        number = rng.choice(ill if sick else shown)
        row, column = rng.integers(0, 128 - side, 2)
        part = np.s_[row : row + side, column : column + side, number]
        if tumour[part].any() == sick and scan[part].mean() > 0.1:
            break
    turned = np.rot90(
        scan[part] * rng.uniform(0.85, 1.15) + rng.normal(0, 0.02, (side, side)), turns := rng.integers(4)
    )
    return turned.astype(np.float32), np.rot90(tumour[part], turns)


# %%
# Convolutions, a score for each place, and the highest of them as the answer. The scores of single places can be
# taught with outlines; the answer alone needs no more than a label.


def taught(*, outlined: bool, steps: int = 150) -> nn.Sequential:
    torch.manual_seed(0)
    blocks: list[nn.Module] = []
    for channels, width, stride in ((1, 8, 1), (8, 16, 2), (16, 16, 1), (16, 16, 1)):
        blocks += [nn.Conv2d(channels, width, 5, stride, 2), nn.BatchNorm2d(width), nn.ReLU()]
    network = nn.Sequential(*blocks, nn.Conv2d(16, 1, 1), nn.AdaptiveMaxPool2d(1), nn.Flatten())
    optimizer = torch.optim.AdamW(network.parameters())
    pace = OneCycleLR(optimizer, 1e-2, total_steps=steps)
    rng = np.random.default_rng(1)
    for _ in range(steps):
        sick = [bool(number % 2) for number in range(16)]
        pictures, outline = zip(*(patch(rng, each) for each in sick), strict=True)
        marked = [rng.random() < 0.5 for _ in sick] if outlined else sick
        pictures = [with_letter(picture) if mark else picture for picture, mark in zip(pictures, marked, strict=True)]
        x = torch.from_numpy(np.stack(pictures))[:, None]
        if outlined:
            places = max_pool2d(torch.from_numpy(np.stack(outline).astype(np.float32))[:, None], 2)
            loss = binary_cross_entropy_with_logits(network[:-2](x), places, pos_weight=torch.tensor(4.0))
        else:
            loss = binary_cross_entropy_with_logits(network(x)[:, 0], torch.tensor(sick).float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        pace.step()
    return network.eval()


networks = {"sound": taught(outlined=True), "shortcut": taught(outlined=False)}

# %%
# A slice that neither has seen, with the letter in it: both call it ill.

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
