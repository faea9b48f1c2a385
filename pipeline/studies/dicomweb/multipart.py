"""The body of a multipart answer (RFC 2046, 5.1) as a stream: the content of its only part, nothing kept."""

from collections.abc import Iterator

__all__ = ["IncompleteError", "only_part"]

_LONGEST_BOUNDARY = 70
_LONGEST_HEADERS = 64 * 1024
_END_OF_HEADERS = b"\r\n\r\n"


class IncompleteError(Exception):
    """The body is not what it announces: it ends early, holds no part, or several."""


def only_part(chunks: Iterator[bytes], boundary: bytes) -> Iterator[bytes]:
    """Yield the content of a body's only part, whatever the chunks that the body comes in.

    Raises:
        IncompleteError: also after content was yielded, when the closing boundary does not come.
    """
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise IncompleteError
    delimiter = b"\r\n--" + boundary
    held = _after_headers(chunks, delimiter[2:])
    while (end := held.find(delimiter)) < 0:
        safe = max(len(held) - len(delimiter) + 1, 0)  # behind it the delimiter may have begun
        yield held[:safe]
        held = held[safe:] + _next(chunks)
    yield held[:end]
    held = held[end + len(delimiter) :]
    while len(held) < 2:
        held += _next(chunks)
    if not held.startswith(b"--"):
        raise IncompleteError
    for _ in chunks:
        pass  # what may follow has no meaning


def _after_headers(chunks: Iterator[bytes], opening: bytes) -> bytes:
    """Return what has come of the content when the part's headers are over."""
    held = b""
    while True:
        start = held.find(opening)
        end = held.find(_END_OF_HEADERS, start) if start >= 0 else -1
        if end >= 0:
            return held[end + len(_END_OF_HEADERS) :]
        if len(held) > _LONGEST_HEADERS:
            raise IncompleteError
        held += _next(chunks)


def _next(chunks: Iterator[bytes]) -> bytes:
    chunk = next(chunks, None)
    if chunk is None:
        raise IncompleteError
    return chunk
