"""What a reader's page is made of, and where the reviews go that it sends."""

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.files import written
from pipeline.findings.custody.ledger import read_ledger
from pipeline.findings.reviews import Review, parse_review, require_review_of, review_bytes
from pipeline.findings.signed.decisions import reviewed_maps
from pipeline.findings.spec import LEDGER_FILE
from reports.registry import Context
from reports.viewer.build import payload_of, served_page

__all__ = ["Desk"]


@dataclass(frozen=True)
class Desk:
    """A run that is looked at, and the folder that its reviews are written to. Requests take turns."""

    context: Context
    reviews: Path
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def page(self) -> bytes:
        """Return the page."""
        with self._turn:
            return served_page(self.context)

    def case(self, number: str) -> bytes | None:
        """Return the pictures of a case, None where there are none."""
        if not (number.isascii() and number.isdigit() and len(number) <= 6):
            return None
        with self._turn:
            return payload_of(self.context, int(number))

    def take(self, content: bytes) -> str:
        """Write a review and return its file's name; the same review is written once.

        Raises:
            ConfigError: when it is none of this run.
            OutputError: when it cannot be written.
        """
        review = parse_review(content)
        results = self.context.results
        maps = reviewed_maps(results)
        require_review_of(review, results.run, self._heads(), maps)
        name = _name(review)
        try:
            self.reviews.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.reviews}: cannot be made: {error.strerror}") from error
        with self._turn, written(self.reviews / name, private=True) as file:
            file.write(review_bytes(review))
        return name

    def _heads(self) -> set[str]:
        """Return the run's events from the one that tells of its results on."""
        entries = read_ledger(self.context.run / LEDGER_FILE)
        first = next((entry.sequence for entry in entries if entry.event == "results.written"), 0)
        return {entry.hash for entry in entries if entry.sequence >= first}


def _name(review: Review) -> str:
    """Return a name that says when it was written and nothing of who wrote it."""
    digest = hashlib.sha256(review_bytes(review)).hexdigest()[:12]
    return f"review-{review.written_at:%Y%m%dT%H%M%S}-{digest}.json"
