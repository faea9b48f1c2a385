"""timm's networks, by the names that ``timm.create_model`` takes."""

from collections.abc import Iterator

from torch import nn

from tests.zoo.candidate import Candidate
from tests.zoo.torchvision_operators import undeclared

GROUP = "timm"
SIDE = 96  # of images for networks that take any size; the deepest leave 3 x 3 cells
CONVOLUTIONAL = """
    resnet18 resnet50 resnetv2_50 seresnet50 seresnext50_32x4d skresnet18 ecaresnet50d densenet121 efficientnet_b0
    efficientnetv2_rw_t mobilenetv2_100 mobilenetv3_small_100 ghostnet_100 regnety_002 regnetx_002 vgg11 vgg16_bn
    convnext_atto convnextv2_atto inception_v3 inception_v4 inception_next_atto xception41 dpn68 dla34 res2net50_26w_4s
    hrnet_w18_small nfnet_l0 rexnet_100 fbnetc_100 mnasnet_100 repvgg_a0 cspdarknet53 darknet53 vovnet39a hardcorenas_a
    lcnet_050 tinynet_a nf_resnet26 gernet_s
"""
TRANSFORMERS = """
    vit_tiny_patch16_224 vit_small_patch16_dinov3 deit_tiny_patch16_224 deit_tiny_distilled_patch16_224
    vit_medium_patch16_gap_240 beit_base_patch16_224 eva02_tiny_patch14_224 cait_xxs24_224 crossvit_tiny_240
    swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 swinv2_cr_tiny_224 pvt_v2_b0 twins_pcpvt_small levit_128s
    hiera_tiny_224 mvitv2_tiny focalnet_tiny_srf poolformer_s12 poolformerv2_s12 caformer_s18 xcit_nano_12_p16_224
    coat_lite_tiny coatnet_0_rw_224 maxvit_tiny_rw_224 edgenext_xx_small efficientformer_l1 efficientformerv2_s0
    efficientvit_b0 efficientvit_m0 fastvit_t8 mobilevit_xxs mobilevitv2_050 mobileone_s0 nest_tiny gmlp_s16_224
    mixer_s32_224 resmlp_12_224 convmixer_768_32 davit_tiny gcvit_xxtiny tiny_vit_5m_224 visformer_tiny volo_d1_224
    tnt_s_legacy_patch16_224 sequencer2d_s repghostnet_050 rdnet_tiny starnet_s1 mambaout_femto samvit_base_patch16_224
    resnet50_clip vit_base_patch16_siglip_224 vit_tiny_r_s16_p8_224
"""


def candidates() -> Iterator[Candidate]:
    """Yield every network, by its name.

    Raises:
        ImportError: when timm is not installed.
    """
    with undeclared():
        import timm

    def made(name: str) -> nn.Module:
        return _with_a_classifier(timm.create_model(name, pretrained=False, num_classes=3))

    for name in (CONVOLUTIONAL + TRANSFORMERS).split():
        settings = timm.get_pretrained_cfg(name)
        size = settings.input_size[1:] if settings.fixed_input_size else (SIDE, SIDE)
        yield Candidate(GROUP, name, lambda name=name: made(name), (3, *size))


def _with_a_classifier(model: nn.Module) -> nn.Module:
    """Draw the weights that start at zero: behind a classifier of zeros no logit depends on the image."""
    for part in model.modules():
        if isinstance(part, nn.Linear) and not bool(part.weight.any()):
            nn.init.normal_(part.weight, std=0.02)
    return model
