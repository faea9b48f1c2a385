"""Class activation maps against the peers: time as a multiple of plain forwards, memory in a process of its own.

    python -m tests.benchmarks.cams [--quick] [--write]

``--quick`` takes smaller images and fewer repeats (under 10 minutes on two cores); ``--write`` puts the tables into
docs/benchmarks.md. CPU time, one thread, everything that is compared taken in turns in one process, medians. The peers
come with ``make bench``; one that is absent or fails is listed with its error.
"""

import argparse
import contextlib
import copy
import io
import os
import platform
import statistics
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from monai.networks.nets import DenseNet121, resnet18

from cam import Explanation, capture, explain
from tests.benchmarks import peers
from tests.benchmarks.measure import GIB, paired, peak_memory, seconds

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
SIX = ("gradcam", "gradcampp", "xgradcam", "hirescam", "gradcam_elementwise", "layercam")
LABELS = (0, 1, 2)
PEERS = ("torch", "monai", "grad-cam", "torchcam", "captum", "medcam")


@dataclass(frozen=True)
class BenchmarkTable:
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def __str__(self) -> str:
        lines = [f"## {self.title}", "", *([self.note, ""] if self.note else [])]
        lines += [f"| {' | '.join(self.head)} |", f"|{'---|' * len(self.head)}"]
        return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in self.rows), ""])


def densenet(axes: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return DenseNet121(spatial_dims=axes, in_channels=1, out_channels=3).eval().to(DEVICE)


def resnet(axes: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return resnet18(spatial_dims=axes, n_input_channels=1, num_classes=3, conv1_t_stride=2).eval().to(DEVICE)


def images(axes: int, side: int, batch: int) -> torch.Tensor:
    return torch.rand(batch, 1, *[side] * axes, generator=torch.Generator().manual_seed(1)).to(DEVICE)


def plain(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], object]:
    def run() -> object:
        with torch.no_grad():
            return model(x)

    return run


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def gradient_methods(quick: bool) -> BenchmarkTable:
    """Six methods for three targets in one call, against one map of each peer."""
    rows = []
    for axes, side, batch, layer in ((2, 224, 8, "class_layers.relu"), (3, 64, 1, "class_layers.relu")):
        model, x = densenet(axes), images(axes, side, batch)
        whole, call = plain(model, x), partial(explain, model, x, LABELS, methods=SIX, layers=[layer])
        theirs = {name: partial(run, model, x, layer, 1) for name, run in peers.GRADIENT.items()}
        with quiet():
            paired({"plain": whole, "camaudit": call, **theirs}, 1)  # the first call pays for imports, allocations
            near = paired({"plain": whole, "camaudit": call}, 7 if quick else 15)  # near 1: worth more repeats
            found = paired({"plain": whole, **theirs}, 2 if quick else 7)
        where = f"DenseNet121 {axes}D {side}, batch {batch}"
        for name, value in [*list(near.items())[1:], *list(found.items())[1:]]:
            forward = near["plain"] if name == "camaudit" else found["plain"]
            maps = len(SIX) * len(LABELS) if name == "camaudit" else 1
            if isinstance(value, str):
                rows.append([where, name, "-", "-", value])
            else:
                rows.append([where, name, str(maps), f"{value / forward:.2f}", f"{18 / maps * value / forward:.1f}"])
    return BenchmarkTable(
        "Gradient methods at the last layer",
        ("model", "library", "maps in the call", "plain forwards", "for 6 methods x 3 targets"),
        rows,
        "A peer's call gives one method for one target; its last column is that call 18 times.",
    )


def kept_for_backward(quick: bool) -> BenchmarkTable:
    """Peak memory of a gradient map at the last layer over that of a plain forward."""
    rows = []
    for axes, side, batch in ((2, 224, 8), (3, 64, 1)):
        forward = peak_memory(memory_subject, "plain", axes, side, batch)
        for name in ("camaudit", "torchcam", "captum", "pytorch-grad-cam"):
            found = peak_memory(memory_subject, name, axes, side, batch)
            cells = [found, ""] if isinstance(found, str) else [mib(found), f"{found / forward:.2f}"]
            rows.append([f"DenseNet121 {axes}D {side}, batch {batch}", name, mib(forward), *cells])
    return BenchmarkTable(
        "Peak memory of Grad-CAM at the last layer",
        ("model", "library", "plain forward, no grad", "with the map", "ratio"),
        rows,
        "Resident memory above that before the call, each in a process of its own, after one warm-up call.",
    )


def memory_subject(name: str, axes: int, side: int, batch: int) -> Callable[[], object]:
    model, x, layer = densenet(axes), images(axes, side, batch), "class_layers.relu"
    calls = {
        "plain": plain(model, x),
        "camaudit": partial(explain, model, x, LABELS, methods=SIX, layers=[layer]),
        **{peer: partial(run, model, x, layer, 1) for peer, run in peers.GRADIENT.items()},
    }
    with quiet():  # imports and thread pools count for nobody
        small = images(axes, 32, 2)
        for _ in range(2):
            explain(model, small, LABELS, methods=SIX, layers=["features.denseblock1"])
            if name in peers.GRADIENT:
                peers.GRADIENT[name](model, small, "features.denseblock1", 1)
    return quietly(calls[name])


def best_forward(model: torch.nn.Module, x: torch.Tensor, quick: bool) -> tuple[float, int]:
    """Return the CPU seconds of one plain forward of one image at the best of several batch sizes, and that size."""
    found = {}
    for rows in (1, 4, 8, 16, 32, 64):
        batch = x.expand(rows, *x.shape[1:]).contiguous()
        run = plain(model, batch)
        run()
        found[rows] = statistics.median(seconds(run) for _ in range(3 if quick else 7)) / rows
    best = min(found, key=lambda rows: found[rows])
    return found[best], best


def rescoring(method: str, title: str, subjects: Sequence[tuple], table: Callable, quick: bool) -> BenchmarkTable:
    rows = []
    for name, build, axes, side, layer, with_peers in subjects:
        model, x = build(axes), images(axes, side, 1)
        channels = channels_of(model, x, layer)
        forward, batch = best_forward(model, x, quick)
        rows_together = batch if method == "scorecam" else None  # a tail alone has another best size
        call = partial(ours, model, x, method, layer, rows_together)
        functions: dict[str, Callable[[], object]] = {
            "camaudit, 1 target": partial(call, LABELS[:1]),
            "camaudit, 3 targets": partial(call, LABELS),
        }
        if with_peers:
            theirs = copy.deepcopy(model)  # one that fails leaves its model with another layer in it
            functions |= {peer: partial(run, theirs, x, layer, 1) for peer, run in table(batch).items()}
        with quiet():
            call(LABELS[:1])
            found = paired(functions, 1 if quick else 3)
            forward = statistics.median([forward, best_forward(model, x, quick)[0]])  # before and after
        where = f"{name} {axes}D {side}, `{layer}`"
        for who, value in found.items():
            ratio = value if isinstance(value, str) else f"{value / (channels * forward):.3f}"
            rows.append([where, who, str(channels), str(batch), ratio])
    return BenchmarkTable(
        title, ("model and layer", "library", "N", "plain rows together", "share of N plain forwards"), rows
    )


def ours(
    model: torch.nn.Module, x: torch.Tensor, method: str, layer: str, rows: int | None, labels: Sequence[int]
) -> object:
    return explain(model, x, labels, methods=[method], layers=[layer], rows=rows)


def channels_of(model: torch.nn.Module, x: torch.Tensor, layer: str) -> int:
    return int(capture(model, x, [layer]).activations[layer].shape[1])


def ablation(quick: bool) -> BenchmarkTable:
    side = 64 if quick else 224
    subjects = (
        ("DenseNet121", densenet, 2, side, "class_layers.relu", False),
        ("DenseNet121", densenet, 2, side, "features.denseblock3", False),
        ("ResNet18", resnet, 2, 224, "layer3", True),
        ("DenseNet121", densenet, 3, 32 if quick else 64, "features.denseblock3", False),
        ("ResNet18", resnet, 3, 32 if quick else 64, "layer3", True),
    )
    return rescoring("ablationcam", "Ablation-CAM", subjects, peers.ablation, quick)


def score(quick: bool) -> BenchmarkTable:
    subjects = (("ResNet18", resnet, 2, 64, "layer3", True), ("ResNet18", resnet, 3, 32, "layer3", True))
    return rescoring("scorecam", "Score-CAM", subjects, peers.score, quick)


def large_memory(quick: bool) -> BenchmarkTable:
    """Score-CAM in 3D with 1,024 channels, and Eigen-CAM over 28^3 cells: peak memory of the call."""
    found = {"Score-CAM, 96^3, 1,024 channels": peak_memory(large_score, quick)}
    found["Eigen-CAM, 28^3 cells, 256 channels"] = peak_memory(large_eigen)
    model, x = densenet(3), images(3, 112, 1)
    layer = "features.denseblock1"
    functions = {
        "plain": plain(model, x),
        "eigen": lambda: explain(model, x, [0], methods=["eigencam"], layers=[layer]),
    }
    paired(functions, 1)
    times = paired(functions, 3)
    forwards = {
        "Eigen-CAM, 28^3 cells, 256 channels": f"{times['eigen'] / times['plain']:.2f}",
        "Score-CAM, 96^3, 1,024 channels": "",
    }
    plain_peak = peak_memory(large_plain)
    rows = [[what, mib(peak), forwards[what]] for what, peak in found.items()]
    rows.append(["plain forward of the Eigen-CAM row's network", mib(plain_peak), "1"])
    return BenchmarkTable("Memory in 3D", ("what", "peak above the start", "plain forwards"), rows)


class Wide(torch.nn.Module):
    """A small network with 1,024 channels: Score-CAM's own memory shows, not the network's."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = torch.nn.Sequential(torch.nn.Conv3d(1, 8, 4, 4), torch.nn.ReLU(), torch.nn.Conv3d(8, 1024, 4, 4))
        self.head = torch.nn.Linear(1024, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.trunk(x).flatten(2).mean(dim=2))


def large_score(quick: bool) -> Callable[[], object]:
    model = Wide().eval() if quick else densenet(3)
    layer = "trunk" if quick else "class_layers.relu"
    x = images(3, 96, 1)
    return quietly(lambda: explain(model, x, LABELS, methods=["scorecam"], layers=[layer]))


def large_eigen() -> Callable[[], object]:
    model, x = densenet(3), images(3, 112, 1)
    return quietly(lambda: explain(model, x, [0], methods=["eigencam"], layers=["features.denseblock1"]))


def large_plain() -> Callable[[], object]:
    return plain(densenet(3), images(3, 112, 1))


def cuda(quick: bool) -> BenchmarkTable | None:
    """Grad-CAM and Score-CAM in several number formats, with what each does to the map, and Score-CAM of the peers."""
    if not torch.cuda.is_available():
        return None
    rows = []
    for axes, side, batch in ((2, 224, 8), (3, 64, 2)):
        model, x, layer = densenet(axes), images(axes, side, batch), "features.denseblock3"
        where = f"DenseNet121 {axes}D {side}, batch {batch}"
        reference = explain(model, x, [1], methods=["gradcam", "scorecam"], layers=[layer])
        for name, variant, autocast in variants(model, axes):
            for method in ("gradcam", "scorecam"):
                run = partial(cast, autocast, variant, x, method, layer)
                found = run()[method, layer]
                taken = paired({name: run}, 2 if quick else 5)[name]
                agreement = rank_correlation(found, reference[method, layer])
                rows.append([where, method, name, milliseconds(taken), f"{agreement:.4f}"])
        for peer, peer_run in peers.score(64).items():
            with quiet():
                taken = paired({peer: partial(peer_run, model, x, layer, 1)}, 1 if quick else 3)[peer]
            rows.append([where, "scorecam", peer, milliseconds(taken), ""])
    head = ("model", "method", "variant", "ms", "rank correlation to float32")
    return BenchmarkTable(f"On {torch.cuda.get_device_name()}", head, rows, "Layer `features.denseblock3`, one target.")


def variants(model: torch.nn.Module, axes: int) -> Iterator[tuple[str, torch.nn.Module, bool]]:
    layout = torch.channels_last if axes == 2 else torch.channels_last_3d
    last = copy.deepcopy(model).to(memory_format=layout)
    yield "float32", model, False
    yield "bf16 autocast", model, True
    yield "bf16 autocast, channels last", last, True
    yield "bf16 autocast, channels last, compiled", compiled(last), True


def compiled(model: torch.nn.Module) -> torch.nn.Module:
    """Compile a model's blocks one by one: hooks on the blocks still see their outputs."""
    for name, block in model.named_modules():
        if name.count(".") == 1:
            block.compile()
    return model


def cast(autocast: bool, model: torch.nn.Module, x: torch.Tensor, method: str, layer: str) -> Explanation:
    with torch.autocast("cuda", torch.bfloat16, enabled=autocast):
        return explain(model, x, [1], methods=[method], layers=[layer])


def milliseconds(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value * 1e3:.1f}"


def rank_correlation(one: torch.Tensor, other: torch.Tensor) -> float:
    ranks = [torch.argsort(torch.argsort(maps.flatten().float())).double() for maps in (one, other)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the peers' progress bars and warnings out of the table."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def quietly(call: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        with quiet():
            return call()

    return run


def mib(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value / GIB * 1024:.0f} MiB"


def versions() -> str:
    found = []
    for name in PEERS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", choices=[one.__name__ for one in SECTIONS], action="append")
    given = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault("TQDM_DISABLE", "1")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device: its table is left out"
    head = [
        "# Benchmarks",
        "",
        "Made by `python -m tests.benchmarks.cams" + (" --quick" if given.quick else "") + " --write`"
        " (the peers: `make bench`).",
        "CPU time, one thread, what is compared taken in turns in one process, medians. A ratio travels between",
        f"machines, seconds do not. Python {platform.python_version()}, {versions()}; {device}.",
        "",
    ]
    parts = []
    print("\n".join(head), flush=True)
    for section in SECTIONS:
        if given.only and section.__name__ not in given.only:
            continue
        made = section(given.quick)
        if made is not None:
            parts.append(str(made))
            print(made, flush=True)
    if given.write:
        DOCUMENT.write_text("\n".join([*head, *parts]), encoding="utf-8")
        print(f"written: {DOCUMENT}", file=sys.stderr)


SECTIONS = (gradient_methods, kept_for_backward, ablation, score, large_memory, cuda)

if __name__ == "__main__":
    main()
