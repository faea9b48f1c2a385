"""The network of the example: MONAI's DenseNet121 in 3D, untrained, the same at every start."""

import torch
from monai.networks.nets import DenseNet121


def build(outputs: int = 5, seed: int = 0) -> DenseNet121:
    """Return the network for one channel and ``outputs`` labels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DenseNet121(spatial_dims=3, in_channels=1, out_channels=outputs)
