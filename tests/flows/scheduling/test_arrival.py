"""A schedule that waits for arrivals: what came before it counts, and a run under way is not started beside."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest
from pydicom.uid import CTImageStorage, generate_uid

from flows.scheduling import arrival
from flows.scheduling.arrival import Arrival, check_watched, watch_archive
from pipeline.config_file import load_config
from pipeline.errors import ArchiveError
from pipeline.studies.dicomweb import client as dicomweb_client
from pipeline.studies.dicomweb.client import RetryPolicy
from tests.pipeline.planted import plant, write_study
from tests.pipeline.studies.dicomweb.web import serving, status
from tests.pipeline.studies.writers import dicom, dot


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setattr(arrival, "_SHORTEST", 0.01)
    return load_config(plant(tmp_path, 3))


def watched(config, answers, after, say=pytest.fail):
    """Watch until ``start`` has been asked for each of ``answers``; ``after`` is called each time."""
    asked = []

    async def watch():
        done = asyncio.Event()

        async def start():
            asked.append(answers[len(asked)])
            after(len(asked))
            if len(asked) == len(answers):
                done.set()
            return asked[-1]

        watching = asyncio.create_task(watch_archive(config, Arrival(timedelta(0)), start, say))
        await done.wait()
        watching.cancel()

    asyncio.run(watch())
    return asked


def test_what_is_there_counts_and_a_new_file_counts_again(config):
    def after(times):
        if times == 1:
            write_study(config.archive.path, 9, True)

    assert watched(config, [True, True], after) == [True, True]


def test_while_a_run_is_under_way_the_arrival_waits(config):
    assert watched(config, [False, False, True], lambda _times: None) == [False, False, True]


@pytest.mark.parametrize(("seconds", "pause"), [(1, 1.0), (120, 20.0), (86400, 60.0)])
def test_how_often_it_looks(seconds, pause):
    assert Arrival(timedelta(seconds=seconds)).pause == pause


def served(config, web):
    archive = config.archive.model_copy(update={"dicomweb": web.url, "manifest": None})
    return config.model_copy(update={"archive": archive})


def image(study):
    made = dicom(CTImageStorage, dot((4, 6), (1, 2)))
    made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID = study, generate_uid(), generate_uid()
    return made


@pytest.fixture
def hasty(monkeypatch):
    """A client that gives up at once."""
    patient = dicomweb_client.open_server
    hurried = lambda url: replace(patient(url), patience=RetryPolicy(tries=1, pause=0.0, silence=600.0))  # noqa: E731
    monkeypatch.setattr(arrival, "open_server", hurried)


def test_a_study_of_a_server_that_grows_is_an_arrival_and_one_more_study_too(config):
    study = generate_uid()
    with serving(image(study)) as web:

        def after(times):
            web.store(image(study if times == 1 else generate_uid()))

        assert watched(served(config, web), [True, True, True], after) == [True] * 3
        assert set(web.asked) == {"studies"}  # no metadata, no pixel


def test_a_server_that_counts_no_instances_is_refused_at_the_start(config, hasty):
    with serving(image(generate_uid())) as web:
        check_watched(served(config, web))
        web.counts_instances = False
        with pytest.raises(ArchiveError, match=r"does not tell how many instances a study has .* use --every"):
            check_watched(served(config, web))


def test_a_server_that_is_away_is_asked_again_and_said_to_be_away_once(config, hasty):
    said = []
    with serving(image(generate_uid())) as web:
        web.faults["studies"].extend([status(503)] * 5)
        assert watched(served(config, web), [True], lambda _times: None, said.append) == [True]
    (away,) = said
    assert away.startswith("--on-arrival: the DICOMweb server 127.0.0.1")
    assert "answered 503" in away


def test_settings_that_prefect_refuses_are_told_in_a_line(tmp_path):
    command = [sys.executable, "-m", "flows", "schedule", str(plant(tmp_path, 3)), "--every", "1d"]
    environment = os.environ | {"PREFECT_API_URL": "http://[somebody:secret@::1/api"}
    refused = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert refused.returncode == 2
    *prefects, ours = refused.stderr.splitlines()
    assert ours.startswith("camaudit: schedule: Prefect's settings cannot be read (ValidationError); see PREFECT_API")
    assert "Traceback" not in "".join(prefects)  # it says some words of its own


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--on-arrival", "soon"), "--on-arrival: 'soon' is not a time such as 30m, 6h or 1d"),
        (("--on-arrival", "2m", "--every", "1d"), "needs one of --cron, --every and --on-arrival"),
        ((), "needs one of --cron, --every and --on-arrival"),
        (("--every", "1d", "--notify", "/nowhere/program"), "--notify: there is no program '/nowhere/program'"),
        (("--every", "1d", "--notify", "'"), "cannot be split into a program and its arguments"),
    ],
)
def test_what_a_schedule_refuses(arguments, words, tmp_path, camaudit):
    code, _, err = camaudit("schedule", plant(tmp_path, 3), *arguments)
    assert code == 2
    assert words in err
