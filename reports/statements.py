"""What the authors of an audit stated, and what they did not."""

from pipeline.findings.results import Results
from pipeline.vocabulary import STATEMENTS
from reports.page.text import joined

__all__ = ["not_stated", "stated"]

_NOTHING = ("", "not stated", "not disclosed")


def stated(results: Results, *names: str) -> list[tuple[str, object]]:
    """Return labelled facts of the statements that were made, among those named."""
    rows = [(STATEMENTS[name], results.statements.get(name, ())) for name in names]
    return [(title, joined(*texts, by="; ")) for title, texts in rows if texts]


def not_stated(results: Results) -> tuple[str, ...]:
    """Return the titles of all that could have been stated and was not."""
    fields = {
        "Organisation": results.organisation,
        "Prepared by": results.prepared_by,
        "Intended use of the model": results.intended_use,
        "Reference standard": results.reference_standard,
        "Version of the model": results.model.version,
        "Training data": results.model.training_data,
    }
    missing = [title for title, text in fields.items() if text.strip() in _NOTHING]
    missing += [
        title for name, title in STATEMENTS.items() if not any(map(str.strip, results.statements.get(name, ())))
    ]
    missing += ["Hashes of the training data"] if results.training_overlap is None else []
    return tuple(missing)
