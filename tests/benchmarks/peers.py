"""The peers, each behind one function: run one method of theirs on one model, input, layer and label.

grad-cam imports torchvision, of which there is no CPU build to be had beside every torch: what it takes from it (a
resize for one method, transforms for reading photographs) is not used here, so an empty stand-in does.
"""

import copy
import sys
import types
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec

import torch

Run = Callable[[torch.nn.Module, torch.Tensor, str, int], object]


def stub_torchvision() -> None:
    """Put an empty torchvision in place when there is none; call it after MONAI was imported, which asks for it."""
    if "torchvision" in sys.modules:
        return
    names = {"transforms": ("Compose", "Normalize", "ToTensor"), "transforms.functional": ("resize",), "ops": ()}
    root = types.ModuleType("torchvision")
    root.__spec__, root.__path__, root.__version__ = ModuleSpec("torchvision", None), [], "0.0"
    sys.modules["torchvision"] = root
    for name, members in names.items():
        module = types.ModuleType(f"torchvision.{name}")
        module.__spec__, module.__path__ = ModuleSpec(module.__name__, None), []
        for member in members:
            setattr(module, member, None)
        sys.modules[module.__name__] = module
        setattr(root, name.split(".")[0], sys.modules[f"torchvision.{name.split('.')[0]}"])


def grad_cam(method: str, **options) -> Run:
    def run(model, x, layer, label):
        stub_torchvision()
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        cam = getattr(pytorch_grad_cam, method)(model=model, target_layers=[model.get_submodule(layer)])
        for name, value in options.items():
            setattr(cam, name, value)
        with cam:
            return cam(input_tensor=x, targets=[ClassifierOutputTarget(label)] * len(x))

    return run


def torchcam(method: str, **options) -> Run:
    def run(model, x, layer, label):
        import torchcam.methods

        with getattr(torchcam.methods, method)(model, layer, **options) as extractor:
            if "Score" in method or method in ("SSCAM", "ISCAM"):
                with torch.no_grad():
                    logits = model(x)
            else:
                logits = model(x.clone().requires_grad_())
            return extractor(class_idx=label, scores=logits)

    return run


def captum_gradient(model, x, layer, label):
    from captum.attr import LayerGradCam

    return LayerGradCam(model, model.get_submodule(layer)).attribute(x, target=label)


def captum_ablation(rows: int) -> Run:
    def run(model, x, layer, label):
        from captum.attr import LayerFeatureAblation

        module = model.get_submodule(layer)
        found = []
        hook = module.register_forward_hook(lambda _module, _inputs, output: found.append(output.shape))
        with torch.no_grad():
            model(x)
        hook.remove()
        channels = torch.arange(found[0][1]).reshape(1, -1, *[1] * (len(found[0]) - 2))
        ablation = LayerFeatureAblation(model, module)
        masks = channels.expand(1, *found[0][1:])
        return ablation.attribute(x, layer_mask=masks, target=label, perturbations_per_eval=rows)

    return run


def monai(model, x, layer, label):
    from monai.visualize import GradCAM

    return GradCAM(nn_module=copy_once(model), target_layers=layer)(x, class_idx=label)


def medcam(model, x, layer, label):
    from medcam import medcam as peer

    key = (id(model), layer, label)
    if key not in _INJECTED:
        _INJECTED[key] = peer.inject(
            copy.deepcopy(model), backend="gcam", layer=layer, label=label, return_attention=True
        )
    return _INJECTED[key](x)


def copy_once(model):
    """MONAI leaves hooks and flags behind: it gets a model of its own, made once."""
    if id(model) not in _COPIES:
        _COPIES[id(model)] = copy.deepcopy(model)
    return _COPIES[id(model)]


_COPIES: dict[int, torch.nn.Module] = {}
_INJECTED: dict[tuple[int, str, int], torch.nn.Module] = {}

GRADIENT: Mapping[str, Run] = {
    "torchcam": torchcam("GradCAM"),
    "captum": captum_gradient,
    "pytorch-grad-cam": grad_cam("GradCAM"),
    "MONAI": monai,
    "M3d-Cam": medcam,
}


def score(rows: int) -> Mapping[str, Run]:
    return {
        "torchcam": torchcam("ScoreCAM", batch_size=rows),
        "pytorch-grad-cam": grad_cam("ScoreCAM", batch_size=rows),
    }


def ablation(rows: int) -> Mapping[str, Run]:
    return {
        "captum": captum_ablation(rows),
        "pytorch-grad-cam": grad_cam("AblationCAM", batch_size=rows),
    }
