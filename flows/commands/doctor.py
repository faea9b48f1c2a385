"""What an audit needs from this machine, and whether it is there."""

import platform
from dataclasses import dataclass

from pipeline.errors import AuditError

__all__ = ["Check", "examine"]

_LIBRARIES = (
    *("torch", "monai", "pydicom", "highdicom", "nibabel", "numpy", "pyarrow"),
    "reportlab",
    "pikepdf",
    "prefect",
)

_SYNTAXES = {
    "JPEG baseline": "1.2.840.10008.1.2.4.50",
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "RLE": "1.2.840.10008.1.2.5",
}


@dataclass(frozen=True)
class Check:
    """One thing looked at. ``needed``: an audit cannot run without it."""

    name: str
    finding: str
    sound: bool
    needed: bool


def examine() -> list[Check]:
    """Look at the device, the libraries, the decoders, the fonts and the Prefect server."""
    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return [
        Check("python", python, sound=True, needed=True),
        _device(),
        *_libraries(),
        *_decoders(),
        _fonts(),
        _server(),
    ]


def _device() -> Check:
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return Check("device", f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB", sound=True, needed=False)
    return Check(
        "device",
        f"no CUDA device: audits run on the CPU, {torch.get_num_threads()} threads",
        sound=True,
        needed=False,
    )


def _libraries() -> list[Check]:
    from pipeline.program import library_versions

    return [Check(name, version, sound=True, needed=True) for name, version in library_versions(_LIBRARIES).items()]


def _decoders() -> list[Check]:
    from pydicom.pixels import get_decoder  # type: ignore[attr-defined]  # public, but not in its __all__

    checks = []
    for name, syntax in _SYNTAXES.items():
        decoder = get_decoder(syntax)
        plugins = ", ".join(decoder.available_plugins) or "no plugin"
        checks.append(Check(f"DICOM {name}", plugins, sound=decoder.is_available, needed=False))
    return checks


def _fonts() -> Check:
    try:
        from reports.page.fonts import REGULAR, width_of
    except Exception as error:  # noqa: BLE001 - whatever keeps the font from loading is the finding
        return Check("fonts", f"the report's font cannot be loaded: {error}", sound=False, needed=True)
    return Check("fonts", f"{REGULAR}, embedded in every report", sound=width_of("A", 10) > 0, needed=True)


def _server() -> Check:
    from flows.scheduling.schedule import require_server

    try:
        return Check("Prefect server", require_server(), sound=True, needed=False)
    except AuditError as error:
        return Check(
            "Prefect server",
            f"none ('camaudit run' starts its own; 'schedule' needs one): {error}",
            sound=False,
            needed=False,
        )
