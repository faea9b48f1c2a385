"""``prefect.yaml`` and the form of a run: what it names exists; a wrong parameter is refused before there is a run."""

import asyncio
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.flows import load_flow_from_entrypoint

from flows.audit import audit
from flows.scheduling.firing import Firing

ROOT = Path(__file__).resolve().parents[2]
CONTENT = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS = CONTENT["deployments"]
RIGHT = {"config": "/data/audit.yaml", "overrides": ["run.seed=3"]}


def test_there_is_one_for_each_kind_of_pool():
    assert {deployment["work_pool"]["name"] for deployment in DEPLOYMENTS} == {
        "camaudit-process",
        "camaudit-docker",
        "camaudit-kubernetes",
    }
    assert len({deployment["name"] for deployment in DEPLOYMENTS}) == len(DEPLOYMENTS)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_a_deployment_names_what_there_is(deployment, monkeypatch):
    monkeypatch.chdir(ROOT)
    flow = load_flow_from_entrypoint(deployment["entrypoint"])
    assert flow.name == "audit"
    flow.validate_parameters(deployment["parameters"])
    assert deployment["enforce_parameter_schema"] is True
    for schedule in deployment["schedules"]:
        Firing.of(schedule["cron"], None, schedule["timezone"])
    beat = deployment["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
    assert f"beats-{beat}s" in deployment["tags"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"config": 3},
        {"config": "audit.json"},
        {"config": "audit.yaml", "overrides": ["seed"]},
        {"config": "audit.yaml", "deep": "perhaps"},
        {},
    ],
    ids=str,
)
def test_a_wrong_parameter_is_refused_before_a_run_exists(wrong, prefect):
    async def tried():
        deployment = await audit.ato_deployment(name="form", enforce_parameter_schema=True)
        number = await deployment.aapply()
        async with get_client() as client:
            await client.create_flow_run_from_deployment(number, parameters=RIGHT)
            before = len(await client.read_flow_runs(limit=200))
            with pytest.raises(Exception, match=r"(?i)validat|409|422"):
                await client.create_flow_run_from_deployment(number, parameters=wrong)
            assert len(await client.read_flow_runs(limit=200)) == before

    asyncio.run(tried())
