"""Hugging Face's networks for image classification, from configurations a few channels wide."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from tests.zoo.candidate import Candidate
from tests.zoo.torchvision_operators import undeclared

GROUP = "Hugging Face"
SHAPE = (3, 64, 64)
_VIT = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 64, "patch_size": 16}
_MLP = {**_VIT, "intermediate_size": 32}
_SWIN = {"embed_dim": 16, "depths": [2, 2, 2], "num_heads": [2, 2, 4], "window_size": 4, "image_size": 64}
_STAGES = {"hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 2, 1]}
_WIDER = {"hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 1, 1]}
_TEXT = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
_TEXT |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
CONFIGURATIONS: Mapping[str, Mapping[str, Any]] = {
    "ViT": _MLP,
    "DeiT": _MLP,
    "Beit": _MLP,
    "Data2VecVision": _MLP,
    "Dinov2": _VIT,
    "Dinov2WithRegisters": _VIT,
    "ViTMSN": _MLP,
    "IJepa": _MLP,
    "Swin": {**_SWIN, "patch_size": 4},
    "Swinv2": {**_SWIN, "patch_size": 4},
    "ConvNext": _STAGES,
    "ConvNextV2": _STAGES,
    "ResNet": _WIDER,
    "RegNet": {**_WIDER, "groups_width": 8},
    "Bit": {"hidden_sizes": [32, 64, 128, 256], "depths": [1, 1, 1, 1], "embedding_size": 32, "num_groups": 8},
    "EfficientNet": {"initializer_range": 0.1},
    "MobileNetV1": {},
    "MobileNetV2": {},
    "MobileViT": {"image_size": 64},
    "MobileViTV2": {"image_size": 64},
    "Segformer": {"hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 1, 1]},
    "Pvt": {"image_size": 64, "depths": [1, 1, 1, 1]},
    "PvtV2": {"image_size": 64, "depths": [1, 1, 1, 1]},
    "PoolFormer": _STAGES,
    "FocalNet": {"image_size": 64, "embed_dim": 16, "depths": [1, 1, 1, 1]},
    "Levit": {
        "image_size": 64,
        "hidden_sizes": [32, 64, 96],
        "depths": [1, 1, 1],
        "num_attention_heads": [2, 2, 2],
        "key_dim": [8, 8, 8],
    },
    "SwiftFormer": {"image_size": 64},
    "Hiera": {"image_size": [64, 64], "embed_dim": 16, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 2, 4]},
    "CLIP": {"vision_config": _MLP, "text_config": _TEXT},
    "Siglip": {"vision_config": _MLP, "text_config": _TEXT},
}


def candidates() -> Iterator[Candidate]:
    """Yield every network, by the beginning of its class's name.

    Raises:
        ImportError: when transformers is not installed.
    """
    with undeclared():
        import transformers

    def made(name: str) -> nn.Module:
        settings = getattr(transformers, f"{name}Config")(num_labels=3, **CONFIGURATIONS[name])
        with undeclared():
            return getattr(transformers, f"{name}ForImageClassification")(settings)

    for name in CONFIGURATIONS:
        yield Candidate(GROUP, name, lambda name=name: made(name), SHAPE)
    yield Candidate(GROUP, "DeiT with teacher", lambda: _with_teacher(), SHAPE)


def _with_teacher() -> nn.Module:
    with undeclared():
        import transformers

        settings = transformers.DeiTConfig(num_labels=3, **_MLP)
        return transformers.DeiTForImageClassificationWithTeacher(settings)
