"""What maps and an audit cost on a CUDA device: ``python -m tests.benchmarks.gpu [--write]`` (``make gpu``).

``--write`` puts the tables into docs/benchmarks-gpu.md. Elapsed time, the device's queue emptied before and after,
medians; waits are what torch itself counts as synchronisations (``torch.cuda.set_sync_debug_mode``). Under ten minutes.
"""

import argparse
import platform
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from monai.networks.nets import DenseNet121

from cam import Memory, Target, explain
from tests.benchmarks.audit_loop import write_archive
from tests.benchmarks.cams import BenchmarkTable, milliseconds
from tests.benchmarks.measure import paired, seconds

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks-gpu.md"
LAYER = "class_layers.relu"
NO_DEVICE = "no CUDA device was found: nothing was measured"


@dataclass(frozen=True)
class Size:
    """How large what is measured is; a test takes a small one."""

    image_2d: tuple[int, int] = (8, 224)
    """Batch and side."""
    image_3d: tuple[int, int] = (2, 96)
    repeats: int = 5
    studies: int = 100


METHODS = {
    "gradcam": {},
    "layercam": {},
    "scorecam": {"max_channels": 64},
    "ablationcam": {},
    "fullgrad": {},
    "integrated_gradients": {"steps": 16},
    "rise": {"count": 100},
    "lime": {"samples": 100},
    "kernel_shap": {"samples": 200},
}


def network(axes: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return DenseNet121(spatial_dims=axes, in_channels=1, out_channels=3).eval().to("cuda")


def calls(size: Size, axes: int) -> tuple[Callable[[], object], dict[str, Callable[[], object]]]:
    """Return a plain forward, and a call of each method for two targets at the last layer."""
    batch, side = size.image_2d if axes == 2 else size.image_3d
    model = network(axes)
    x = torch.rand(batch, 1, *[side] * axes, generator=torch.Generator().manual_seed(1)).to("cuda")
    memory = Memory()

    def forward() -> object:
        with torch.no_grad():
            return model(x)

    def call_of(name: str) -> Callable[[], object]:
        options = {name: METHODS[name]} if METHODS[name] else {}
        return lambda: explain(
            model,
            x,
            [Target(0), Target(2)],
            methods=[name],
            layers=[LAYER],
            options=options,
            memory=memory,
        )

    return forward, {name: call_of(name) for name in METHODS}


def maps(size: Size) -> BenchmarkTable:
    """Time each method beside a plain forward; count its waits and the device's memory."""
    rows = []
    for axes in (2, 3):
        forward, methods = calls(size, axes)
        for name, call in methods.items():
            call()  # what is found out about the model once does not count
            taken = paired({"forward": forward, name: call}, size.repeats)
            plain, elapsed = taken["forward"], taken[name]
            ratio = f"{elapsed / plain:.1f}" if isinstance(plain, float) and isinstance(elapsed, float) else ""
            rows.append([f"{axes}D", name, milliseconds(elapsed), ratio, *waits_and_memory(call)])
    head = ("DenseNet121", "method", "ms", "forwards", "waits", "peak memory, MiB")
    return BenchmarkTable(
        "Maps", head, rows, f"Two targets, batch {size.image_2d[0]} of {size.image_2d[1]}^2, {size.image_3d[0]} of "
        f"{size.image_3d[1]}^3.",
    )  # fmt: skip


def waits_and_memory(call: Callable[[], object]) -> tuple[str, str]:
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = sum("synchroniz" in str(warning.message) for warning in caught)
    return str(waits), f"{torch.cuda.max_memory_allocated() / 2**20:.0f}"


def audits(size: Size) -> BenchmarkTable:
    """Time an audit of small volumes on the device and on the processor: the same command, another ``run.device``."""
    from camaudit import audit

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        config = write_archive(Path(folder), size.studies)
        for device in ("cuda", "cpu"):
            elapsed = seconds(partial(audit, config, overrides={"run.device": device}))
            rows.append([device, f"{elapsed:.1f}", f"{elapsed / size.studies * 1e3:.0f}"])
    head = ("run.device", "seconds", "ms a study")
    return BenchmarkTable("Audit", head, rows, f"{size.studies} studies of 64^3, one map, five metrics, the whole run.")


SECTIONS = (maps, audits)


def document(size: Size, sections: Sequence[Callable[[Size], BenchmarkTable]] = SECTIONS) -> str:
    """Return the page of the tables."""
    head = [
        "# Benchmarks on a GPU",
        "",
        "Made by `make gpu`. Elapsed time, medians.",
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, Python {platform.python_version()}.",
        "",
    ]
    return "\n".join([*head, *(str(section(size)) for section in sections)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit(NO_DEVICE)
    page = document(Size())
    print(page)
    if given.write:
        DOCUMENT.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
