"""A run that was killed does not stay RUNNING on its page: it says that it lives, and the server counts.

The counting is an automation of the server, made once. It speaks only of runs that say so every half minute, which
their tag tells: one with Prefect's own, slower beat would be called dead between two of them.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import EventTrigger
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, Posture
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings

__all__ = ["HEARTBEAT_SECONDS", "SILENCE_SECONDS", "vital_tags", "watch_for_killed_runs"]

HEARTBEAT_SECONDS: Final = 30
"""The least that Prefect allows."""

SILENCE_SECONDS: Final = 3 * HEARTBEAT_SECONDS
_TAG: Final = f"beats-{HEARTBEAT_SECONDS}s"
_NAME: Final = "camaudit: a run that was killed is crashed"
_BEAT: Final = "prefect.flow-run.heartbeat"
_ENDS: Final = ("Completed", "Failed", "Cancelled", "Crashed")
_MESSAGE: Final = f"its process has not said for {SILENCE_SECONDS} s that it lives: killed, or its machine is down"


def vital_tags() -> list[str]:
    """Return the tag of runs that say every half minute that they live; none where the settings want it otherwise."""
    beat = get_current_settings().flows.heartbeat_frequency
    return [_TAG] if beat is not None and beat <= HEARTBEAT_SECONDS else []


async def watch_for_killed_runs(client: PrefectClient, say: Callable[[str], None]) -> None:
    """Have the server call runs crashed once they fall silent; nothing is done where it does so already.

    A server that refuses costs that alone, and is said.
    """
    try:
        if not await client.read_automations_by_name(_NAME):
            await client.create_automation(_automation())
    except PrefectHTTPStatusError as error:
        say(f"the server makes no automation ({error.response.status_code}): a run that is killed will stay RUNNING")


def _automation() -> AutomationCore:
    return AutomationCore(
        name=_NAME,
        description=_MESSAGE,
        trigger=EventTrigger(
            after={_BEAT},
            expect={_BEAT, *(f"prefect.flow-run.{end}" for end in _ENDS)},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.id": f"prefect.tag.{_TAG}", "prefect.resource.role": "tag"},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENCE_SECONDS),
        ),
        actions=[ChangeFlowRunState(name=None, state=StateType.CRASHED, message=_MESSAGE, force=False)],
    )
