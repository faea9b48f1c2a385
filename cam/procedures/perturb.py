"""The model run again on changed inputs: chunk by chunk, every target from the same forwards.

A row is one changed input. The rows of all samples stand in one line, so that no chunk but the last runs short; a
chunk's inputs are built when its turn comes, never all at once.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from cam.inputs.targets import Scalar
from cam.out_of_memory import is_out_of_memory
from cam.request import ExplanationRequest, widened

__all__ = ["Build", "Forward", "default_rows", "exact", "halving", "logits_of", "own_scores", "rescored", "scores_of"]

Build = Callable[[slice], Tensor]
"""Makes the inputs of these rows."""

Forward = Callable[[Tensor, Tensor], Tensor]
"""Runs inputs (rows, ...) that show these samples (rows,); returns logits (rows, K, ...)."""

Answer = TypeVar("Answer")

_ROWS, _ELEMENTS = 64, 2**23  # measured on a CPU: larger chunks leave the cache and win nothing
_GPU_ROWS, _LAYERS = 512, 256  # how often a row's own size a forward without a graph is assumed to need at most


def exact(values: Tensor) -> torch.autocast:
    """Return a context in which sums of products keep the values' own precision, whatever the caller's autocast."""
    return torch.autocast(values.device.type, enabled=False)


def default_rows(elements: int, device: torch.device, most: int = _ROWS) -> int:
    """Return how many rows of ``elements`` values each are sensible together; running out of memory halves it.

    ``most`` bounds them on a CPU.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return max(1, min(_GPU_ROWS, free // (4 * elements * _LAYERS)))
    return max(1, min(most, _ELEMENTS // elements))


def halving(rows: int, attempt: Callable[[int], Answer]) -> Answer:
    """Return ``attempt(rows)``, with half as many rows each time that memory runs out.

    Raises:
        torch.OutOfMemoryError: when even one row alone does not fit.
    """
    while True:
        try:
            return attempt(rows)
        except (RuntimeError, MemoryError) as error:
            if rows == 1 or not is_out_of_memory(error):
                raise
        # outside the handler: the exception's frames would keep what did not fit
        rows //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def rescored(
    request: ExplanationRequest, samples: Tensor, build: Build, forward: Forward | None = None, rows: int | None = None
) -> Tensor:
    """Return every target's score (T, rows) of the rows that ``build`` makes.

    ``samples`` (rows,) tells which sample a row shows, and so which target it is asked about. Rows go through the
    model, or through ``forward``; ``rows`` of them together unless the request says how many.

    Raises:
        torch.OutOfMemoryError: when even one row alone does not fit.
    """
    chunks = logits_of(request, samples, build, forward, rows)
    if request.logits.ndim == 2:  # small enough to be kept; a target's check of its labels then waits only once
        return scores_of(request.targets, torch.cat(list(chunks)), samples)
    parts, start = [], 0
    for logits in chunks:
        parts.append(scores_of(request.targets, logits, samples[start : start + len(logits)]))
        start += len(logits)
    return torch.cat(parts, dim=1)


def scores_of(targets: Sequence[Scalar], logits: Tensor, samples: Tensor) -> Tensor:
    """Return the scores (T, rows) of logits (rows, K, ...) whose rows show these samples; float32 or better."""
    return torch.stack([target.select(samples).scores(widened(logits)) for target in targets])


def own_scores(request: ExplanationRequest) -> Tensor:
    """Return every target's score (T, B) of the inputs as they are; float32 or better."""
    return torch.stack([widened(target.scores(request.logits)) for target in request.targets])


def logits_of(
    request: ExplanationRequest, samples: Tensor, build: Build, forward: Forward | None = None, rows: int | None = None
) -> Iterator[Tensor]:
    """Yield the logits of the rows, a chunk at a time; a chunk that does not fit the memory is halved.

    Raises:
        torch.OutOfMemoryError: when even one row alone does not fit.
    """
    run = forward or (lambda inputs, _samples: request.model(inputs))
    size = request.max_batch or rows or default_rows(request.x[0].numel(), request.x.device)
    start = 0
    while start < len(samples):
        chunk = slice(start, min(start + size, len(samples)))
        logits = _attempt(run, build, chunk, samples)
        if logits is None:
            size = (chunk.stop - chunk.start) // 2
        else:
            yield logits
            start = chunk.stop


def _attempt(run: Forward, build: Build, chunk: slice, samples: Tensor) -> Tensor | None:
    """Return the chunk's logits, or None when they do not fit the memory together."""
    try:
        with torch.no_grad():
            return run(build(chunk), samples[chunk])
    except (RuntimeError, MemoryError) as error:
        if chunk.stop - chunk.start == 1 or not is_out_of_memory(error):
            raise
    # outside the handler: the exception's frames would keep what did not fit
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None
