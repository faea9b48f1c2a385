"""What of a run somebody has to hear of, and how he hears it: an event on the server, a program of his own."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.findings.results import Results

__all__ = ["NEWS", "RunNews", "failed_run", "news_of", "tell_program"]

NEWS = ("not-met", "drift", "failed-studies", "failed-run")
"""What is told, in this order."""

_SECONDS = 60.0


@dataclass(frozen=True)
class RunNews:
    """What a run came to, for whoever is told: counts and names of criteria, nothing of a patient.

    ``kinds`` are those of ``NEWS`` that hold; none where nobody has to hear of it. ``sentences`` say each in words.
    """

    audit: str
    run: str | None
    kinds: tuple[str, ...]
    sentences: tuple[str, ...]
    folder: str | None = None

    def as_json(self) -> str:
        """Return it as one JSON object."""
        return json.dumps(asdict(self))


def news_of(results: Results, folder: Path) -> RunNews:
    """Return what of a finished run somebody has to hear of.

    Drift: a figure is shown to be worse than in the run before, by its margin where one was stated.
    """
    sentences: dict[str, str] = {}
    not_met = [verdict.criterion for verdict in results.verdicts if verdict.answer == "NOT MET"]
    if not_met:
        sentences["not-met"] = f"NOT MET: {'; '.join(not_met)}"
    worse = [change for change in results.changes if change.kind == "previous" and _is_worse(change.answer)]
    if worse:
        sentences["drift"] = f"worse than in run {worse[0].run_a}: {worse[0].reason or worse[0].answer}"
    failed = sum(results.flow.failed.values())
    if failed:
        reasons = ", ".join(f"{count} {reason}" for reason, count in results.flow.failed.items())
        sentences["failed-studies"] = f"{failed} of {results.flow.found} studies failed: {reasons}"
    kinds = tuple(kind for kind in NEWS if kind in sentences)
    return RunNews(results.audit, results.run, kinds, tuple(sentences[kind] for kind in kinds), str(folder))


def failed_run(audit: str, fault: str) -> RunNews:
    """Return that a run ended without results; ``fault`` is a line of ours."""
    return RunNews(audit, None, ("failed-run",), (f"the run ended without results: {fault}",))


def _is_worse(answer: str) -> bool:
    return answer == "worse"


def tell_program(program: Sequence[str], news: RunNews, say: Callable[[str], None]) -> None:
    """Run a program that reads the news as JSON from its standard input; say in a line where that fails.

    It is started without a shell, and gets a minute. What becomes of it changes nothing of the run.
    """
    if not program or not news.kinds:
        return
    try:
        done = subprocess.run(
            [*program], input=news.as_json(), text=True, timeout=_SECONDS, check=False, stdout=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        say(f"--notify: {program[0]} could not be run ({type(error).__name__}): {'; '.join(news.sentences)}")
        return
    if done.returncode:
        say(f"--notify: {program[0]} ended with exit code {done.returncode}: {'; '.join(news.sentences)}")
