"""Commands on finished runs."""

import gc
from pathlib import Path
from typing import Annotated

import typer

from flows.command_line.options import AsJson
from pipeline.errors import ConfigError, OutputError

__all__ = ["compare", "report", "verify", "view"]


def _require_results(run: Path) -> None:
    """Refuse what is no folder of a finished run, before anything heavy is imported.

    Raises:
        OutputError: when it holds no results, or cannot be looked into.
    """
    try:
        holds = (run / "results.json").is_file()
    except OSError as error:
        raise OutputError(f"{str(run)[:200]}: cannot be looked into: {error.strerror}") from error
    if not holds:
        raise OutputError(f"{run}: holds no results.json; give the folder of a finished run")


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write it.")] = None,
    sheets: Annotated[
        bool, typer.Option("--sheets", help="Write a page for each study that the report shows, to mark by hand.")
    ] = False,
    html: Annotated[
        bool, typer.Option("--html", help="Write one page for a browser instead: no server and no network needed.")
    ] = False,
) -> None:
    """Render the report of a run again, from its folder alone.

    A run that does not verify is rendered with ALTERED on every page, beside its own report; the exit code is then that
    of camaudit verify.
    """
    _require_results(run)
    if html and sheets:
        raise ConfigError("--html and --sheets ask for two documents; give one of them")
    from flows.commands.render import render_again, render_page

    code = render_page(run, output) if html else render_again(run, output, sheets=sheets)
    if code:
        raise typer.Exit(code)


def view(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: one that is free.")] = 0,
    reviews: Annotated[
        Path | None, typer.Option("--reviews", metavar="FOLDER", help="Where reviews go; RUN/reviews unless given.")
    ] = None,
    opens: Annotated[bool, typer.Option("--open", help="Open the page in this machine's browser.")] = False,
) -> None:
    """Show a run in the browser of this machine: scroll its cases, move thresholds, write a review.

    The page is served on 127.0.0.1 to whoever has its address, until Ctrl-C. Nothing leaves this machine.
    """
    _require_results(run)
    from flows.viewing.view import view_run

    view_run(run, port, reviews, opens=opens)


def verify(
    path: Annotated[Path, typer.Argument(metavar="RUN|REPORT.PDF", help="The folder of a run, or its report alone.")],
    key: Annotated[
        str | None, typer.Option("--key", metavar="FINGERPRINT", help="The key that must have signed the ledger.")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read the archive again: its hashes, and every score from the kept maps.")
    ] = False,
    recompute: Annotated[
        int, typer.Option("--recompute", metavar="N", min=0, help="Audit N studies, drawn at random, anew.")
    ] = 0,
    trust_authority: Annotated[
        Path | None,
        typer.Option("--trust-authority", metavar="FILE.PEM", help="Who must have stamped the lock: certificates."),
    ] = None,
    trust: Annotated[
        Path | None,
        typer.Option("--trust", metavar="FILE.PEM", help="Who must have signed the report: certificates."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk from the printed numbers back to their hashes and recompute all that needs no model.

    Of a report without its folder, what it carries and prints is checked, and what cannot be is said.
    """
    from flows.commands.verify import print_verification, verified, verified_with_archive

    gc.set_threshold(50_000)  # records by the hundred thousand stay: to look through them again and again costs a tenth
    if deep or recompute:
        verification = verified_with_archive(path, key, trust_authority, trust, deep=deep, recompute=recompute)
    else:
        verification = verified(path, key, trust_authority, trust)
    code = print_verification(path, verification, as_json=as_json)
    if code:
        raise typer.Exit(code)


def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="A finished run, or an audit: its newest run.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The run that is held against it.")],
    margin: Annotated[
        list[str] | None,
        typer.Option("--margin", metavar="METRIC=NUMBER", help="In place of the locked margins. May be repeated."),
    ] = None,
    maps: Annotated[
        list[str] | None,
        typer.Option("--maps", metavar="MAP_A=MAP_B", help="Hold other maps against each other. May be repeated."),
    ] = None,
    key_a: Annotated[
        Path | None, typer.Option("--key-a", metavar="FILE", help="The pseudonym key of RUN_A, where keys differ.")
    ] = None,
    key_b: Annotated[
        Path | None, typer.Option("--key-b", metavar="FILE", help="The pseudonym key of RUN_B, where keys differ.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold RUN_B against RUN_A on the same studies: paired differences, studies that flipped, margins.

    Exit code 0: not worse, by every margin; without margins: no figure is shown to be worse. 1: worse, or with margins
    not shown to be not worse. 2: bad input, or there is nothing to compare by.
    """
    from flows.commands.compare import (
        CompareOptions,
        compare_folders,
        exit_code_of,
        parse_maps,
        parse_margins,
        print_comparison,
    )

    options = CompareOptions(parse_margins(margin or ()), parse_maps(maps or ()), key_a, key_b)
    comparison = compare_folders(run_a, run_b, options)
    print_comparison(comparison, as_json=as_json)
    code = exit_code_of(comparison.change)
    if code:
        raise typer.Exit(code)
