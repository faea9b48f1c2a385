"""What LRP and DeepLIFT cost on networks that people train: multiply-adds in multiples of a plain forward's."""

from collections.abc import Iterator, Mapping

import torch
from monai.networks.nets import DenseNet121, resnet18
from torch import Tensor, nn

from cam import Memory, explain
from cam.methods.lrp import COMPOSITES
from camaudit.testing.multiply_adds import multiply_adds
from tests.cam.networks import First

WAYS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    **{f"lrp, {composite}": ("lrp", {"composite": composite}) for composite in COMPOSITES},
    "deeplift": ("deeplift", {}),
    "deeplift_shap, 1 reference": ("deeplift_shap", {"heights": 1}),
}


def costs(model: nn.Module, x: Tensor, ways: Mapping[str, tuple[str, Mapping[str, object]]] = WAYS) -> dict[str, float]:
    """Return what each way costs for one sample and one target, the forward that all methods share included."""
    forward, multiples = multiply_adds(lambda: model(x)), {}
    for name, (method, options) in ways.items():
        memory = Memory()

        def run(method=method, options=options, memory=memory) -> None:
            explain(model, x, target=1, methods=method, options={method: options}, memory=memory)

        run()  # what is measured of a network once is no cost of a map
        multiples[name] = multiply_adds(run) / forward
    return multiples


def convolutional() -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Give networks of MONAI by name, with random weights, and an image for each."""
    torch.manual_seed(0)
    for axes, side in ((2, 64), (3, 32)):
        image = torch.randn(1, 1, *[side] * axes)
        net = resnet18(spatial_dims=axes, n_input_channels=1, num_classes=3)
        yield f"ResNet18 {axes}D", net.eval(), image
    yield "DenseNet121 2D", DenseNet121(2, 1, 3).eval(), torch.randn(1, 1, 64, 64)


def transformers() -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Give MONAI's ViT of 2 and 3 axes, with random weights, and an image for each."""
    from monai.networks.nets import ViT

    for axes, size in ((2, (64, 64)), (3, (32, 32, 32))):
        settings = {"hidden_size": 96, "mlp_dim": 192, "num_layers": 4, "num_heads": 4, "num_classes": 3}
        made = ViT(1, size, 8, spatial_dims=axes, classification=True, post_activation="none", **settings)
        yield f"ViT {axes}D", First(made).eval(), torch.randn(1, 1, *size)


def table() -> str:
    """Return the costs as a Markdown table."""
    columns = {name: costs(model, x) for name, model, x in convolutional()}
    ways = {"attnlrp": ("attnlrp", {})}
    columns |= {name: costs(model, x, ways) for name, model, x in transformers()}
    head = f"| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}"
    measured = columns.values()
    rows = [
        f"| {way} | {' | '.join(f'{multiples[way]:.1f}' if way in multiples else '' for multiples in measured)} |"
        for way in [*WAYS, *ways]
    ]
    return "\n".join([head, *rows])
