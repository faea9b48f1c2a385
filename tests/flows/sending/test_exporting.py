"""What ``camaudit export`` refuses before it reads anything, and that its folders are complete or absent."""

import pytest

from flows.commands.exporting.account import ExportAccount, print_account
from flows.commands.exporting.request import ExportRequest, checked_request
from flows.commands.exporting.whole_folders import whole_folders
from pipeline.errors import ConfigError, OutputError


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "ledger.jsonl").touch()
    return tmp_path / "run"


@pytest.mark.parametrize(
    "asked",
    [
        {"model_card": "report.pdf"},
        {"assess_ai": "new/rows.csv"},
        {"reporting_items": "items.json"},
        {"nifti": "new"},
    ],
)
def test_nothing_is_written_into_a_runs_folder(run, asked):
    with pytest.raises(OutputError, match="lies in the run's own folder, which nothing may be added to"):
        checked_request(ExportRequest(run, **{name: run / place for name, place in asked.items()}))


def test_no_file_is_written_over_another_of_the_same_export(run, tmp_path):
    for asked in (
        {"model_card": tmp_path / "a.md", "assess_ai": tmp_path / "a.md"},
        {"model_card": tmp_path / "a.md", "reporting_items": tmp_path / "a.json"},
        {"model_card": tmp_path / "a.json"},
    ):
        with pytest.raises(ConfigError, match="each kind needs a file of its own"):
            checked_request(ExportRequest(run, **asked))
    checked_request(ExportRequest(run, model_card=tmp_path / "a.md", reporting_items=tmp_path / "b.json"))


def test_a_folder_is_there_as_a_whole_or_not_at_all(run, tmp_path):
    request = ExportRequest(run, nifti=tmp_path / "new" / "maps", bids=tmp_path / "empty")
    request.bids.mkdir()
    for error in (OutputError("full"), SystemExit(130)):
        with pytest.raises(type(error)):
            _half_written(request, error)
        assert list((tmp_path / "new").iterdir()) == list(request.bids.iterdir()) == []
    with whole_folders(request) as beside:
        for folder in (beside.nifti, beside.bids):
            folder.mkdir()
            (folder / "whole").touch()
    assert [path.name for path in tmp_path.rglob("whole")] == ["whole", "whole"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "new", "run"]


def _half_written(request, error):
    with whole_folders(request) as beside:
        beside.nifti.mkdir()
        (beside.nifti / "half").touch()
        raise error


def test_one_line_where_no_object_was_stored_for_one_reason(capsys):
    account = ExportAccount(not_sent=[("a.dcm", "nobody answers"), ("b.dcm", "nobody answers")])
    assert print_account(account, as_json=False) == 2
    assert capsys.readouterr().err == "  NOT SENT: a.dcm and 1 more: nobody answers\n"
    assert '["b.dcm", "nobody answers"]' in (print_account(account, as_json=True), capsys.readouterr().out)[1]
    account.not_sent[1] = ("b.dcm", "refused")
    print_account(account, as_json=False)
    assert len(capsys.readouterr().err.splitlines()) == 2
