"""Networks for the planted archive, each of another kind: a copy of this file lies beside the configuration.

All but those that say otherwise read nothing but brightness, and answer as the planted one does.
"""

import torch
from torch import nn


class Bright(nn.Module):
    """Two logits, the second for the lesion; ``finish`` makes of them what the model returns."""

    def __init__(self, finish=lambda logits: logits):
        super().__init__()
        self.features = nn.Sequential(nn.AvgPool3d(2), nn.Conv3d(1, 2, 1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool3d(1)
        self.head = nn.Linear(2, 2)
        self.finish = finish
        with torch.no_grad():
            self.features[1].weight[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1, 1)
            self.features[1].bias[:] = torch.tensor([-0.3, -0.5])
            self.head.weight[:] = torch.tensor([[-500.0, 0.0], [500.0, 0.0]])
            self.head.bias[:] = torch.tensor([1.0, -1.0])

    def forward(self, x):
        return self.finish(self.head(self.pool(self.features(x)).flatten(1)))


def logits():
    return Bright()


def one_logit():
    return Bright(lambda logits: logits[:, 1:] - logits[:, :1])


def softmax():
    return Bright(lambda logits: logits.softmax(dim=1))


def one_sigmoid():
    return Bright(lambda logits: (logits[:, 1:] - logits[:, :1]).sigmoid())


def two_sigmoids():
    return Bright(lambda logits: (logits * torch.tensor([1.0, 2.0]) + 0.1).sigmoid())


def log_softmax():
    return Bright(lambda logits: logits.log_softmax(dim=1))


def tanh():
    return Bright(lambda logits: logits.tanh())


def soft_sign():
    return Bright(lambda logits: logits / (1 + logits.abs()))


def sigmoid_by_numbers():
    return Bright(lambda logits: 0.5 + 0.5 * (logits + 0.1) / (1 + (logits + 0.1).abs()))


def dictionary():
    return Bright(lambda logits: {"loss": logits.sum(), "logits": logits})


def two_tensors():
    return Bright(lambda logits: {"first": logits, "second": -logits})


def boxes():
    return Bright(lambda logits: {"boxes": [logits, logits], "scores_of": [logits[:, 0]]})


def number():
    return Bright(lambda logits: logits[:, 1:] / 10)


class Segmenting(nn.Module):
    """Two logits a voxel, the second for the lesion."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.ReLU())
        self.classify = nn.Conv3d(2, 2, 1)
        with torch.no_grad():
            self.features[0].weight[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1, 1) / 27
            self.features[0].bias[:] = torch.tensor([-0.3, -0.5])
            self.classify.weight[:] = torch.tensor([[-9.0, 0.0], [9.0, 0.0]]).reshape(2, 2, 1, 1, 1)
            self.classify.bias[:] = torch.tensor([1.0, -1.0])

    def forward(self, x):
        return self.classify(self.features(x))


def segmenting():
    return Segmenting()


class Mixing(Bright):
    """Takes the batch's mean away, as a normalisation without running statistics does."""

    def forward(self, x):
        logits = super().forward(x)
        return logits - 0.5 * logits.mean(dim=0, keepdim=True)


def mixing():
    return Mixing()


class OneAtATime(Bright):
    def forward(self, x):
        return super().forward(x.reshape(1, *x.shape[1:]))


def one_at_a_time():
    return OneAtATime()


class Noisy(Bright):
    def forward(self, x):
        return super().forward(nn.functional.dropout(x, 0.5))


def noisy():
    return Noisy()


class Remembering(Bright):
    """Answers with what it was shown last."""

    def forward(self, x):
        before = getattr(self, "last", torch.zeros(1))
        self.last = x.mean().detach()
        return super().forward(x) + before


def remembering():
    return Remembering()


class TwoImages(Bright):
    def forward(self, image, previous):
        return super().forward(image - previous)


def two_inputs():
    return TwoImages()


class TwoCalls(Bright):
    """Looks at the image and at its mirror with the same features."""

    def forward(self, x):
        seen = self.features(x) + self.features(x.flip(2)).flip(2)
        return self.head(self.pool(seen / 2).flatten(1))


def two_calls():
    return TwoCalls()


class BySlice(Bright):
    """Sees a volume slice by slice along its last axis: rows (B x n, 1, h, w)."""

    def __init__(self):
        super().__init__()
        flat = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(1, 2, 1), nn.ReLU())
        with torch.no_grad():
            flat[1].weight[:] = self.features[1].weight[..., 0]
            flat[1].bias[:] = self.features[1].bias
        self.features = flat

    def forward(self, x):
        rows = x.movedim(4, 1).flatten(0, 1)
        cells = self.features(rows)
        return self.head(cells.mean(dim=(2, 3)).unflatten(0, (len(x), -1)).mean(dim=1))


def by_slice():
    return BySlice()


class Branched(Bright):
    """A branch beside the path that most of the evidence takes."""

    def __init__(self):
        super().__init__()
        self.branch = nn.Conv3d(2, 2, 1, bias=False)
        with torch.no_grad():
            self.branch.weight[:] = 0.01 * torch.eye(2).reshape(2, 2, 1, 1, 1)

    def forward(self, x):
        seen = self.features(x)
        return self.head(self.pool(seen + self.branch(seen)).flatten(1))


def branched():
    return Branched()


def saturated():
    return Bright(lambda logits: (40 * (logits[:, 1:] - logits[:, :1]) + 300).sigmoid())


def wide(channels=40):
    network = nn.Sequential(
        nn.AvgPool3d(4),
        nn.Conv3d(1, channels, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(channels, 2),
    )
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network
