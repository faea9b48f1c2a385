"""Which extra of the package brings a module: what is said where it is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["EXTRAS", "advised", "lacking", "needs"]

EXTRAS = {
    "methods": ("captum", "skimage"),
    "audit": (
        *("PIL", "cc3d", "cryptography", "edt", "einops", "highdicom", "isal", "monai", "nibabel", "nrrd"),
        *("pyarrow", "pydantic", "pydicom", "pylibjpeg", "safetensors", "scipy", "yaml"),
    ),
    "report": ("arabic_reshaper", "bidi", "matplotlib", "pikepdf", "reportlab"),
    "flows": ("croniter", "prefect", "rich", "typer", "uvicorn"),
    "dicomweb": ("httpx",),
    "timestamp": ("asn1crypto", "rfc3161_client"),
    "sign": ("pyhanko", "pyhanko_certvalidator"),
    "token": ("pkcs11",),
    "pacs": ("pynetdicom",),
    "mlflow": ("mlflow",),
    "wandb": ("wandb",),
    "dask": ("dask", "distributed"),
}
"""Each extra's modules, as they are imported. What none of them names comes with the package itself."""

_HOMES = {module: extra for extra, modules in EXTRAS.items() for module in modules}


def needs(module: str) -> str:
    """Return the end of a sentence: that ``module``, one of ``EXTRAS``, is needed, and how it is had."""
    return f"needs {module}, which is not installed; pip install 'camaudit[{_HOMES[module]}]'"


def lacking(error: BaseException | None) -> str | None:
    """Return the sentence for a module of an extra that could not be imported; None for every other error."""
    if isinstance(error, ModuleNotFoundError) and error.name in _HOMES:
        return f"this {needs(error.name)}"
    return None


@contextmanager
def advised(what: str) -> Iterator[None]:
    """Let an import inside the block that lacks an extra say so, and that ``what`` asked for it.

    Raises:
        ModuleNotFoundError: in one line that says what to install; as it is for every other module.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        advice = lacking(error)
        if advice is None:
            raise
        raise ModuleNotFoundError(f"{what}: {advice}", name=error.name) from error
