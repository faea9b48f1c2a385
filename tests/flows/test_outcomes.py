import json
import sys

import pytest

from flows.telling.outcomes import RunNews, news_of, tell_program
from pipeline.findings.results import Flow
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_run import complete


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    config = plant(tmp_path_factory.mktemp("news"), 3, explain={"methods": ["gradcam"]})
    return complete(config)[1]


def verdicts(results, answer):
    return tuple(verdict.model_copy(update={"answer": answer}) for verdict in results.verdicts[:1])


@pytest.mark.parametrize("answer", ["MET", "INCONCLUSIVE", "NOT EVALUATED"])
def test_nobody_has_to_hear_of_these(answer, results, tmp_path):
    news = news_of(results.model_copy(update={"verdicts": verdicts(results, answer)}), tmp_path)
    assert (news.kinds, news.sentences) == ((), ())


def test_not_met_and_failed_studies(results, tmp_path):
    flow = Flow(found=3, analysed=2, excluded={}, failed={"timeout": 1}, patients=2, computed=3, reused=0)
    changed = results.model_copy(update={"verdicts": verdicts(results, "NOT MET"), "flow": flow})
    news = news_of(changed, tmp_path)
    assert news.kinds == ("not-met", "failed-studies")
    assert news.sentences == (
        f"NOT MET: {results.verdicts[0].criterion}",
        "1 of 3 studies failed: 1 timeout",
    )


@pytest.mark.parametrize(
    ("kind", "answer", "drifts"),
    [("previous", "worse", True), ("previous", "not shown", False), ("predecessor", "worse", False)],
)
def test_drift_is_against_the_run_before(kind, answer, drifts, results, tmp_path):
    from pipeline.findings.context.changes import RunChange

    change = RunChange(kind=kind, run_a="planted/a", run_b="planted/b", answer=answer, reason="accuracy fell")
    news = news_of(results.model_copy(update={"verdicts": (), "changes": (change,)}), tmp_path)
    assert news.kinds == (("drift",) if drifts else ())


NEWS = RunNews("planted", "run", ("not-met",), ("NOT MET: accuracy",))


def test_a_program_reads_the_news(tmp_path):
    program = f"import sys; open({str(tmp_path / 'news')!r}, 'w').write(sys.stdin.read())"
    tell_program((sys.executable, "-c", program), NEWS, pytest.fail)
    assert json.loads((tmp_path / "news").read_text())["kinds"] == ["not-met"]


@pytest.mark.parametrize(
    ("program", "words"),
    [(("/nowhere/notify",), "could not be run"), ((sys.executable, "-c", "raise SystemExit(3)"), "exit code 3")],
)
def test_a_program_that_fails_is_said_with_the_news(program, words):
    said = []
    tell_program(program, NEWS, said.append)
    (line,) = said
    assert words in line
    assert "NOT MET: accuracy" in line


def test_without_news_no_program_is_run():
    tell_program(("/nowhere/notify",), RunNews("planted", "run", (), ()), pytest.fail)
