"""What could let a verification call a run sound that is not: checks that are gone, failures that are not said."""

from tests.mutants import Mutant, of

__all__ = ["MUTANTS"]


COMMANDS = "tests/flows/commands/test_verify.py"
PROCESSORS = ("tests/flows/commands/test_other_processors.py", "-k", "rounding or threshold")


def found(*names: str) -> tuple[str, ...]:
    """Return the tests that these falsifications are found without rendering the report."""
    test = "tests/test_falsify.py::test_a_falsification_is_found_without_rendering_the_report"
    return tuple(f"{test}[{name}]" for name in names)


def named(name: str) -> tuple[str]:
    """Return the test that this falsification is found, by whatever means detect it."""
    return (f"tests/test_falsify.py::test_a_falsification_is_detected_and_named[{name}]",)


MUTANTS: list[Mutant] = [
    *of(
        "pipeline/verify/files.py",
        ("if digest_of_file(folder / name) != sha256:", "if False:"),
        ("    if is_link:\n", "    if False:\n"),
        ("        elif name not in _MAY_BE_ABSENT:\n", "        elif False:\n"),
        ("if name not in recorded and name not in _UNRECORDED and not", "if False and not"),
        tests=(
            *found(
                "a verdict turned",
                "a link in a file's place",
                "cases removed",
                "a shard added",
                "the last line cut off",
            ),
            f"{COMMANDS}::test_every_flipped_bit_is_noticed",
        ),
    ),
    *of(
        "pipeline/verify/rows.py",
        ("        if said != expected:\n", "        if False:\n"),
        tests=found("other weights named"),
    ),
    *of(
        "pipeline/verify/rows.py",
        ("        if shards != set(range(spec.shards)):", "        if False:"),
        ("        if count != 1:", "        if count > 1:"),
        (
            "(audit.source_sha256, audit.patient) != (member.source_sha256, member.patient)",
            "audit.patient != member.patient",
        ),
        ("any(rows[status] != count for status, count in stated.items())", "False"),
        tests=found(
            "a study left out of the cohort",
            "a study left out of the rows",
            "a study of other bytes",
            "a study moved to excluded",
        ),
    ),
    *of(
        "pipeline/verify/rows.py",
        ("        if wrong is not None:\n", "        if False:\n"),
        ("or not answer.holds or", "or"),
        tests=named("rows by another recipe"),
    ),
    *of(
        "pipeline/verify/maps.py",
        ("        yield _failure(shard, audit, without_path(error, _folder_of(error, run.path)))\n", ""),
        tests=named("another map"),
    ),
    *of(
        "pipeline/verify/maps.py",
        ("    if not keeper.is_dir():", "    if False:"),
        tests=named("an earlier run removed"),
    ),
    *of(
        "pipeline/verify/maps.py",
        ("                if failure := keepers[file]:\n                    yield failure\n", ""),
        tests=found("a map of an earlier run altered"),
    ),
    *of(
        "pipeline/verify/conclusions.py",
        ("rel_tol=_RELATIVE, abs_tol=_ABSOLUTE", "rel_tol=1e-7, abs_tol=_ABSOLUTE"),
        ("rel_tol=_RELATIVE, abs_tol=_ABSOLUTE", "rel_tol=_RELATIVE, abs_tol=1e-8"),
        ("rel_tol=_RELATIVE, abs_tol=_ABSOLUTE", "rel_tol=0.0, abs_tol=_ABSOLUTE"),
        ("    return (type(expected), expected) == (type(actual), actual)", "    return expected == actual"),
        tests=PROCESSORS,
    ),
    *of(
        "pipeline/runs/verify_archive.py",
        ("rel_tol=_MEASURED, abs_tol=_MEASURED**2", "rel_tol=2 * _MEASURED, abs_tol=_MEASURED**2"),
        ("rel_tol=_MEASURED, abs_tol=_MEASURED**2", "rel_tol=_MEASURED, abs_tol=_MEASURED"),
        ("abs(then - now) <= _MEASURED * abs(then)", "abs(then - now) <= max(1, _MEASURED * abs(then))"),
        ("abs(then - now) <= _MEASURED * abs(then)", "then == now"),
        ("abs(then - now) <= _MEASURED * abs(then)", "abs(then - now) <= 2 * _MEASURED * abs(then)"),
        ("    return is_the_same(then, now)", "    return then == now"),
        tests=PROCESSORS,
    ),
    *of(
        "pipeline/verify/conclusions.py",
        ("    if place is not None:\n        sentence", "    if False:\n        sentence"),
        ("return None if is_like(expected, actual) else place", "return None"),
        ("    elif written != _as_written(run.results):", "    elif False:"),
        ("if not _holds(path, per_study_csv(audits, run.spec.metrics, columns_of(audits))):", "if False:"),
        ("    if groups != run.results.equivalent_methods:", "    if False:"),
        ("        if name is not None and name not in pictures:", "        if False:"),
        ('if case.panels not in (None, f"cases/{case.study}.npz"):', "if False:"),
        ("        if case.volume not in (None, volume_name(case.study)):", "        if False:"),
        tests=found(
            "a verdict turned",
            "results laid out otherwise",
            "the table edited",
            "equivalent maps hidden",
            "another case's picture",
            "another case's volume",
            "a picture from elsewhere",
        ),
    ),
    *of(
        "pipeline/verify/events.py",
        ("if tuple(names[:5]) != _FIRST or names[5:6] != [_STARTED] or", "if"),
        ("        if wrong:\n", "        if False:\n"),
        ("        if getattr(made, name) != value:", "        if False:"),
        tests=found(
            "an event renamed, signed",
            "an event edited, signed",
            "the last line cut off",
            "another device",
            "the end set back",
            "the start set back",
        ),
    ),
    *of(
        "pipeline/verify/events.py",
        ("    if _WRITTEN not in events:", "    if False:"),
        tests=(f"{COMMANDS}::test_a_run_whose_end_is_not_in_its_ledger_is_unfinished",),
    ),
    *of(
        "pipeline/verify/lock.py",
        (
            '        if getattr(spec.lock, name) != digest:\n            yield _failure(f"lock.',
            '        if False:\n            yield _failure(f"lock.',
        ),
        (
            "    if said != (locked.digest, locked.locked_at, locked.amendments, locked.open_cohort):",
            "    if said[0] != locked.digest:",
        ),
        tests=found("the replicates changed afterwards", "the lock set back"),
    ),
    *of(
        "pipeline/verify/lock.py",
        (
            "    elif not lock.exploratory:\n        yield from _unadmitted(",
            "    elif lock.exploratory:\n        yield from _unadmitted(",
        ),
        (
            '        if getattr(spec.lock, name) != digest:\n            yield _failure(f"{name} is',
            '        if False:\n            yield _failure(f"{name} is',
        ),
        tests=named("a look hidden everywhere"),
    ),
    *of(
        "pipeline/verify/lock.py",
        ("    if run.public is not None and locked.public != run.public:", "    if False:"),
        tests=named("rebuilt with another key, nobody asking for one"),
    ),
    *of(
        "pipeline/verify/register.py",
        ("if mark is None or not register.holds(mark.length, mark.head):", "if mark is None:"),
        tests=named("the register rebuilt, after the run"),
    ),
    *of(
        "pipeline/verify/register.py",
        ("    if not register_is_here(folder):", "    if False:"),
        ("    except LedgerError as error:\n        yield _failure(", "    except LedgerError as error:\n        str("),
        tests=found(
            "the register deleted, after the run",
            "the register cut, after the run",
            "the register cut with its head, after the run",
        ),
    ),
    *of(
        "pipeline/verify/register.py",
        ("    if earlier:\n", "    if False:\n"),
        (
            "    elif not lock.exploratory:\n        yield from _looked_before",
            "    elif lock.exploratory:\n        yield from _looked_before",
        ),
        tests=named("a look struck from the run"),
    ),
    *of(
        "pipeline/verify/verify.py",
        ("        failures += _guarded(", "        failures = _guarded("),
        ("    (check_lock, FailureKind.LOCK),\n", ""),
        ("    (check_results, FailureKind.RESULTS),\n", ""),
        ("key=lambda failure: failure.kind.code)", "key=lambda failure: -failure.kind.code)"),
        ("failures = [*run.failures, *check", "failures = [*check"),
        tests=(
            *found("a verdict turned", "the lock set back", "the table edited", "a study left out of the cohort"),
            f"{COMMANDS}::test_garbage_in_the_place_of_any_file_is_a_failure_and_no_traceback",
        ),
    ),
    *of(
        "pipeline/verify/verify.py",
        ("and fingerprint_of(public) != wanted:", "and False:"),
        tests=(f"{COMMANDS}::test_another_key_than_the_wanted_one",),
    ),
    *of(
        "pipeline/verify/run_folder.py",
        ("return not shard.is_reused or (self.members is not None and self.members.is_carried(study))", "return True"),
        tests=(f"{COMMANDS}::test_runs_of_every_kind_are_sound_also_against_their_archive",),
    ),
    *of(
        "pipeline/verify/run_folder.py",
        ("        failures.append(Failure(kind, without_path(error, path), LEDGER_FILE))\n", ""),
        ("        failures.append(Failure(FailureKind.UNREADABLE, _sentence(name, error), name))\n", ""),
        tests=(COMMANDS, "-k", "garbage or not_readable"),
    ),
    *of(
        "pipeline/verify/document.py",
        ("if files.get(name) != (folder / name).read_bytes():", "if False:"),
        ("        if again.read_bytes() != path.read_bytes():", "        if False:"),
        tests=("tests/test_falsify.py", "-k", "detected_and_named and signed"),
    ),
    *of(
        "pipeline/verify/report_alone.py",
        ("        if hashlib.sha256(content).hexdigest() not in words:", "        if False:"),
        tests=(COMMANDS, "-k", "report_alone_prints"),
    ),
    *of(
        "pipeline/verify/failure.py",
        ("return min((failure", "return max((failure"),
        tests=(f"{COMMANDS}::test_the_first_code_of_the_table_ends_the_command_and_all_failures_are_said",),
    ),
]
