"""Scorers whose answers are known, behind the same engine as networks."""

from functools import partial

import torch
from torch import nn

from cam import Target
from cam.capture import Capture
from cam.procedures.perturb import rescored
from cam.request import ExplanationRequest


class Linear(nn.Module):
    """Scores (B, K): weighted sums of all voxels; counts the rows it was shown."""

    def __init__(self, weights):
        super().__init__()
        self.weights, self.rows, self.chunks = weights, 0, 0
        self.eval()

    def forward(self, x):
        self.rows, self.chunks = self.rows + len(x), self.chunks + 1
        return x.flatten(1) @ self.weights.flatten(1).T


class Curved(Linear):
    """The same behind a bend, so that blocks do not simply add up."""

    def forward(self, x):
        return torch.tanh(super().forward(x) / 3) + (x.flatten(1)[:, :2] ** 2).sum(dim=1, keepdim=True)


FIRST = (Target(0),)


def rescore(model, x, targets=FIRST, max_batch=None):
    logits = model.weights.new_zeros(len(x), len(model.weights))
    request = ExplanationRequest(model, x, tuple(targets), logits, (), Capture({}, logits), max_batch)
    return partial(rescored, request)
