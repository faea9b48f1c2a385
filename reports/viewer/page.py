"""The page itself: what it says as data, its program and style, and a policy that lets nothing else run."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.findings.results import Results
from pipeline.findings.reviews import REVIEW_FORMAT
from reports.cover.first_answers import first_answers, identity, interval_of, lock_sentences, verdict_rows
from reports.registry import Context
from reports.viewer.assets import library_hash, program, source_hash, style
from reports.viewer.cohort_rows import cohort_table
from reports.viewer.payload import as_json

__all__ = ["SECURITY", "page_data", "page_html", "policy"]

SECURITY = "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"


def page_data(
    context: Context, ledger_head: str, cases: Sequence[Mapping[str, Any]], writes_to: str | None
) -> dict[str, Any]:
    """Return all that the page says. ``writes_to`` is where it sends a review; None: it offers a file instead."""
    results = context.results
    return {
        "run": results.run,
        "ledgerHead": ledger_head,
        "reviewFormat": REVIEW_FORMAT,
        "writesTo": writes_to,
        "title": results.title,
        "model": f"{results.model.name}, version {results.model.version}, weights {results.model.sha256}",
        "identity": identity(results),
        "altered": context.altered,
        "lock": lock_sentences(results),
        "exploratory": results.lock.exploratory,
        "interval": interval_of(results),
        "verdicts": [row._asdict() for row in verdict_rows(results)],
        "answers": [answer._asdict() for answer in first_answers(results)],
        "caseRule": results.case_rule,
        "cohort": cohort_table(results, context.files["per_study.csv"]),
        "cases": cases,
    }


def policy(*, served: bool) -> str:
    """Return the content security policy: this program and this style.

    A ``served`` page may also ask its own server, run the library, and read the two pictures that lie in the library
    as ``data:`` (its letters, its light).
    """
    scripts = [source_hash(program(served=served)), *([library_hash()] if served else [])]
    own = f"script-src {' '.join(scripts)}; style-src {source_hash(style())};"
    more = " connect-src 'self'; img-src data:; trusted-types camaudit-library;" if served else " trusted-types 'none';"
    return f"default-src 'none'; {own}{more} {SECURITY}"


def page_html(data: Mapping[str, Any], blocks: Mapping[str, str], results: Results) -> str:
    """Return the page. ``blocks`` are cases in base64 by the name of their element."""
    served = data["writesTo"] is not None
    stored = "".join(
        f'<script type="application/octet-stream" id="{name}">{content}</script>\n' for name, content in blocks.items()
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(served=served)}">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(results.title)}</title>\n<style>{style()}</style>\n</head>\n<body>\n"
        "<noscript>This page draws its pictures with JavaScript, which is switched off.</noscript>\n"
        f'<script type="application/json" id="data">{as_json(data)}</script>\n'
        f"{stored}<script>{program(served=served)}</script>\n</body>\n</html>\n"
    )
