"""A run that was killed does not stay RUNNING on its page: it says that it lives, and the server counts.

The counting is an automation of the server, made once. Prefect calls a run that falls silent a zombie; whoever looks at
a page sees it as Crashed, with the reason.
"""

from datetime import timedelta
from typing import Final

from prefect.automations import Automation
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import EventTrigger
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import Posture

__all__ = ["HEARTBEAT_SECONDS", "SILENCE_SECONDS", "watch_for_killed_runs"]

HEARTBEAT_SECONDS: Final = 30
"""The least that Prefect allows."""

SILENCE_SECONDS: Final = 3 * HEARTBEAT_SECONDS
_NAME: Final = "camaudit: a run that was killed is crashed"
_BEAT: Final = "prefect.flow-run.heartbeat"
_ENDS: Final = frozenset({"Completed", "Failed", "Cancelled", "Crashed"})
_MESSAGE: Final = "its process has not said for 90 s that it lives: killed, or its machine is down"


async def watch_for_killed_runs(client: PrefectClient, tag: str) -> None:
    """Have the server call runs with a tag crashed once they fall silent; nothing is done where it does so already."""
    if await client.read_automations_by_name(_NAME):
        return
    await client.create_automation(_automation(tag))


def _automation(tag: str) -> Automation:
    return Automation(
        name=_NAME,
        description=_MESSAGE,
        trigger=EventTrigger(
            after={_BEAT},
            expect={_BEAT, *(f"prefect.flow-run.{end}" for end in _ENDS)},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENCE_SECONDS),
        ),
        actions=[ChangeFlowRunState(name=None, state=StateType.CRASHED, message=_MESSAGE, force=False)],
    )
