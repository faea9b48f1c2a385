"""MONAI's networks for classification and, asked with ``Region``, for segmentation; in 2D and 3D."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from monai.networks import nets
from torch import nn

from tests.zoo.candidate import Candidate

CLASSIFICATION = "MONAI, classification, 2D and 3D"
SEGMENTATION = "MONAI, segmentation with `Region`, 2D and 3D"

Networks = Mapping[str, tuple[Callable[[], nn.Module], tuple[int, ...]]]


def candidates() -> Iterator[Candidate]:
    """Yield every network, by its name and dimensions."""
    for axes in (2, 3):
        for name, (make, size) in (_convolutional(axes) | _others(axes)).items():
            yield Candidate(CLASSIFICATION, f"{name} {axes}D", make, (1, *size))
        for name, (make, size) in _segmenting(axes).items():
            yield Candidate(SEGMENTATION, f"{name} {axes}D", make, (1, *size), is_dense=True)


def _convolutional(axes: int) -> Networks:
    size, small = ((64, 64), (64, 64)) if axes == 2 else ((48, 48, 48), (32, 32, 32))
    resnets = {"ResNet10": nets.resnet10, "ResNet18": nets.resnet18, "ResNet50": nets.resnet50}
    squeezing = {
        "SENet154": (nets.SENet154, small),
        "SEResNet50": (nets.SEResNet50, size),
        "SEResNeXt50": (nets.SEResNext50, size),
        "SEResNeXt101": (nets.SEResNext101, small),
    }
    efficient = partial(nets.EfficientNetBN, "efficientnet-b0", pretrained=False, in_channels=1, num_classes=3)
    return {
        "DenseNet121": (partial(nets.DenseNet121, axes, 1, 3), size),
        **{
            name: (partial(network, spatial_dims=axes, n_input_channels=1, num_classes=3, pretrained=False), size)
            for name, network in resnets.items()
        },
        **{
            name: (partial(network, spatial_dims=axes, in_channels=1, num_classes=3), where)
            for name, (network, where) in squeezing.items()
        },
        "EfficientNet-B0": (partial(efficient, spatial_dims=axes), size),
    }


def _others(axes: int) -> Networks:
    size = (64, 64) if axes == 2 else (48, 48, 48)
    narrow: dict[str, Any] = {"num_layers": 3, "hidden_size": 48, "mlp_dim": 64, "num_heads": 4, "num_classes": 3}
    transformer = partial(nets.ViT, 1, size, 16, spatial_dims=axes, classification=True, **narrow)
    return {
        "ViT": (partial(transformer, post_activation="none"), size),
        "ViT with tanh": (transformer, size),
        "Classifier": (partial(nets.Classifier, (1, *size), 3, (4, 8), (2, 2)), size),
        "Discriminator": (partial(nets.Discriminator, (1, *size), (4, 8), (2, 2)), size),
        "Critic": (partial(nets.Critic, (1, *size), (4, 8), (2, 2)), size),
        "Regressor": (partial(nets.Regressor, (1, *size), (2,), (4, 8), (2, 2)), size),
    }


def _segmenting(axes: int) -> Networks:
    size = (32,) * axes
    halved = (64, 32, 32)[:axes]  # the smallest at which a Swin's last instance norm has two cells
    narrow: dict[str, Any] = {"feature_size": 4, "hidden_size": 48, "mlp_dim": 64, "num_heads": 4}
    dynamic = partial(nets.DynUNet, axes, 1, 2, [3, 3, 3], [1, 2, 2], [2, 2], filters=[8, 16, 32])
    return {
        "UNet": (partial(nets.UNet, axes, 1, 2, (4, 8, 16), (2, 2)), size),
        "UNet with residual units": (partial(nets.UNet, axes, 1, 2, (4, 8, 16), (2, 2), num_res_units=1), size),
        "BasicUNet": (partial(nets.BasicUNet, axes, 1, 2, features=(8, 8, 16, 16, 32, 8)), size),
        "SegResNet": (partial(nets.SegResNet, axes, 8, 1, 2), size),
        "DynUNet": (dynamic, size),
        "VNet": (partial(nets.VNet, axes, 1, 2), size),
        "AttentionUnet": (partial(nets.AttentionUnet, axes, 1, 2, (4, 8, 16), (2, 2)), size),
        "HighResNet": (partial(nets.HighResNet, axes, 1, 2), size),
        "SwinUNETR": (partial(nets.SwinUNETR, 1, 2, feature_size=12, spatial_dims=axes), halved),
        "UNETR": (partial(nets.UNETR, 1, 2, size, spatial_dims=axes, **narrow), size),
        "FlexibleUNet": (partial(nets.FlexibleUNet, 1, 2, "efficientnet-b0", spatial_dims=axes), (64,) * axes),
    }
