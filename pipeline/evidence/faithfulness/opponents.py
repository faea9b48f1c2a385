"""The orders of blocks that every map of a picture has to beat: three at random, and a blob in the picture's middle."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from pipeline.evidence.baselines import centre_prior
from pipeline.evidence.faithfulness.blocks import BlockGrid, ranked
from pipeline.studies.geometry import Geometry

__all__ = ["RANDOM_ORDERS", "generator_for", "opponents_of"]

RANDOM_ORDERS = 3


def generator_for(seed: int, study: str, purpose: str) -> torch.Generator:
    """Return a source of chance for a purpose in a study: each study its own, or their comparisons would hang together.

    ``study`` is the digest of what the study is read from.
    """
    entropy = int.from_bytes(hashlib.sha256(f"{seed}/{study}/{purpose}".encode()).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(entropy)


def opponents_of(grid: BlockGrid, seed: int, study: str) -> Tensor:
    """Return the opponents' orders (1 + 3, blocks): the centre blob's first, then the random ones."""
    generator = generator_for(seed, study, "random orders of blocks")
    drawn = [torch.randperm(grid.blocks, generator=generator) for _ in range(RANDOM_ORDERS)]
    blob = torch.from_numpy(centre_prior(Geometry(grid.shape, np.eye(4))))
    centre = ranked(grid.means(blob[None])[0], generator_for(seed, study, "centre blob"))
    assert centre is not None  # of 8 blocks or more the middle ones are nearer
    return torch.stack([centre, *(order.to(centre.device) for order in drawn)])
