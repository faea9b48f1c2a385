"""
One formula: which maps are the same map
========================================

Most class activation maps are a sum over channels c of a weight w_c and the channel's activation A_c. They differ in
the weights, and behind some heads the weights are the same numbers. Two methods that agree there are one piece of
evidence, printed twice.
"""

import torch
from torch import nn

from cam import explain

torch.manual_seed(0)
x = torch.rand(4, 1, 24, 24)
METHODS = ["cam", "gradcam", "hirescam", "gradcam_elementwise", "layercam", "xgradcam", "ablationcam"]


def body() -> list[nn.Module]:
    return [nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 5, 3, padding=1), nn.ReLU()]


def groups(model: nn.Module, methods: list[str]) -> list[str]:
    explanation = explain(model.eval(), x, target=1, methods=methods, layers=["3"])
    return [" = ".join(group) for groups in explanation.equivalent.values() for group in groups]


# %%
# The mean over places, then one linear layer. The gradient is the same at every place, so its mean is it: Grad-CAM,
# HiResCAM, CAM and Ablation-CAM weigh alike.

mean = nn.Sequential(*body(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))
print(*groups(mean, METHODS), sep="\n")

# %%
# The maximum over places: the gradient lives on one cell of each channel. Its mean is no longer it.

largest = nn.Sequential(*body(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(5, 3))
behind_maximum = groups(largest, METHODS[1:])
print(*behind_maximum or ["no two are the same"], sep="\n")

# %%
# A perceptron over all places: the weights differ from place to place. HiResCAM follows them, Grad-CAM averages them.

perceptron = nn.Sequential(*body(), nn.Flatten(), nn.Linear(5 * 24 * 24, 3))
behind_perceptron = groups(perceptron, METHODS[1:])
print(*behind_perceptron or ["no two are the same"], sep="\n")

assert any("gradcam" in group.split(" = ") and "hirescam" in group for group in groups(mean, METHODS))
for found in (behind_maximum, behind_perceptron):
    assert not any({"gradcam", "hirescam"} <= set(group.split(" = ")) for group in found)
