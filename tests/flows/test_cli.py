import json
import subprocess
import sys

import pytest
import yaml

from tests.pipeline.planted import plant


@pytest.mark.usefixtures("prefect")
def test_run_lock_and_report(tmp_path, camaudit):
    config = plant(tmp_path, 6)
    code, out, _ = camaudit("lock", config)
    assert code == 0
    assert out.strip().endswith("audit.lock.yaml")
    code, out, _ = camaudit("run", config)
    assert code == 0
    assert "planted: 6 studies = 6 analysed + 0 excluded + 0 failed (0 carried over)" in out
    assert "EXPLORATORY" not in out
    report = out.splitlines()[-1].removeprefix("  report: ")
    assert open(report, "rb").read(5) == b"%PDF-"  # noqa: SIM115, PTH123
    code, out, _ = camaudit("run", config, "--json")
    answer = json.loads(out)
    assert answer["flow"]["reused"] == 6
    code, out, _ = camaudit("report", answer["run"], "-o", tmp_path / "again.pdf")
    assert code == 0
    assert (tmp_path / "again.pdf").read_bytes() == open(answer["report"], "rb").read()  # noqa: SIM115, PTH123


def test_a_fault_of_the_run_is_one_line_and_exit_code_2(tmp_path, camaudit):
    config = plant(tmp_path, 3)
    content = yaml.safe_load(config.read_text())
    content["explian"] = content.pop("explain")
    config.write_text(yaml.safe_dump(content))
    code, out, err = camaudit("run", config)
    assert (code, out) == (2, "")
    (line,) = [line for line in err.splitlines() if line.strip()]
    assert line.startswith("camaudit: ")
    assert "unknown key 'explian'; did you mean 'explain'?" in line


def test_a_folder_that_cannot_be_written(tmp_path, camaudit):
    config = plant(tmp_path, 3, run={"output": "file/runs"})
    (tmp_path / "file").write_text("in the way")
    code, _, err = camaudit("run", config)
    assert code == 2
    assert "Traceback" not in err
    assert "file" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lock", "absent.yaml"], "absent.yaml: cannot be read: No such file"),
        (["report", "absent"], "give the folder of a finished run"),
        (["schedule", "absent.yaml", "--cron", "0 2 * * *"], "absent.yaml: cannot be read"),
        (["run"], "Missing argument"),
        (["rnu"], "No such command 'rnu'"),
    ],
)
def test_wrong_calls(arguments, words, camaudit):
    code, _, err = camaudit(*arguments)
    assert code == 2
    assert words in err
    assert "Traceback" not in err


def test_a_schedule_needs_a_server(tmp_path, camaudit):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    config = plant(tmp_path, 3)
    for address, words in (
        (None, "start one with 'prefect server start'"),
        ("http://127.0.0.1:9/api", "no Prefect server answers"),
    ):
        with temporary_settings({PREFECT_API_URL: address}):
            code, _, err = camaudit("schedule", config, "--cron", "0 2 * * *")
        assert code == 2
        assert words in err


def test_a_wrong_cron_expression(tmp_path, camaudit):
    code, _, err = camaudit("schedule", plant(tmp_path, 3), "--cron", "every night")
    assert code == 2
    assert "'every night' is not a cron expression" in err


def test_demo_refuses_a_folder_that_is_not_its_own(tmp_path, camaudit):
    (tmp_path / "precious").touch()
    code, _, err = camaudit("demo", "--folder", tmp_path)
    assert code == 2
    assert "is not empty and not an earlier demo" in err
    assert (tmp_path / "precious").exists()


def test_schema_is_json(camaudit):
    code, out, _ = camaudit("schema")
    assert code == 0
    assert set(json.loads(out)["required"]) == {"name", "archive", "model", "prepare"}


def test_doctor(camaudit):
    code, out, _ = camaudit("doctor", "--json")
    found = {check["name"]: check for check in json.loads(out)}
    assert code == 0
    assert found["torch"]["sound"]
    assert found["DICOM JPEG 2000"]["sound"]
    assert found["fonts"]["sound"]


def test_help_loads_nothing_heavy_and_answers_at_once():
    program = (
        "import sys; sys.argv=['camaudit','--help']\n"
        "from flows.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch','monai','prefect','numpy','pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
