"""The libraries' warnings and log records, which quote names, UIDs and other values, kept from everybody."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_libraries"]

_LIBRARIES = ("highdicom", "pydicom", "pynetdicom")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Let nothing that a library says inside the block get further than the library."""
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, propagates in zip(loggers, before, strict=True):
            logger.propagate = propagates
