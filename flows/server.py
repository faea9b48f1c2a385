"""The Prefect server of a run: the one that the settings name, or a temporary one in a process of its own.

The temporary one starts while the rest of the run is made ready, and ends with the block that it was asked for in, or
with this process, whatever ends that. Nothing here raises: what is wrong with a server is something to be told.
"""

import contextlib
import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flows.commands.interrupts import raise_replaced_end

__all__ = ["PrefectServer", "UnreachableError", "prefect_server", "shown", "silence"]

_START_SECONDS = 120.0  # the first start on a machine makes a database
_END_SECONDS = 3.0
_PROBE_SECONDS = 5.0
_PROGRAM = """
import os, signal, socket, sys, threading

def end_with_parent():
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=end_with_parent, daemon=True).start()
import uvicorn

config = uvicorn.Config("prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on")
uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
"""
_ENVIRONMENT = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
"""What Prefect itself sets for a temporary server."""


class UnreachableError(Exception):
    """Why there is no Prefect server, in a few words."""


@dataclass(frozen=True)
class PrefectServer:
    """A Prefect server's API, and its process when it is a temporary one."""

    address: str
    process: subprocess.Popen[bytes] | None = None

    def wait(self) -> str:
        """Return the address of the API once it answers.

        Raises:
            UnreachableError: when it does not, or has ended.
        """
        if self.process is not None:
            _wait_for_start(self, self.process)
        elif reason := silence(self.address):
            raise UnreachableError(reason)
        return self.address


def shown(address: str) -> str:
    """Return an address without the password that it may hold."""
    return re.sub("//[^/@]*@", "//", address)


@contextmanager
def prefect_server() -> Iterator[PrefectServer | UnreachableError]:
    """Yield the server that runs inside the block are told to, or why there is none.

    A temporary one has begun to start; whether it gets there shows when it is waited for.
    """
    server = _found()
    try:
        yield server
    finally:
        if isinstance(server, PrefectServer) and server.process is not None:
            _end(server.process)


def _found() -> PrefectServer | UnreachableError:
    try:
        from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE

        address: str | None = PREFECT_API_URL.value()
        temporary_allowed = PREFECT_SERVER_ALLOW_EPHEMERAL_MODE.value()
    except Exception as error:  # noqa: BLE001 - Prefect reads files of the user's here; no fault of it may end a run
        return UnreachableError(f"Prefect's settings cannot be read ({type(error).__name__})")
    if address:
        return PrefectServer(address)
    if not temporary_allowed:
        return UnreachableError("no Prefect server is configured (PREFECT_API_URL)")
    try:
        return _started()
    except OSError as error:
        return UnreachableError(f"a temporary Prefect server cannot be started ({error.strerror})")


def _started() -> PrefectServer:
    """Start a temporary server on a free port that nobody else can take meanwhile."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(listener.fileno())],
            stdin=subprocess.PIPE,  # never written to: it closes when this process ends, whatever ends it
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            env=os.environ | _ENVIRONMENT,
            process_group=0,  # a terminal's Ctrl-C is for this process alone
        )
    return PrefectServer(f"http://127.0.0.1:{port}/api", process)


def _wait_for_start(server: PrefectServer, process: subprocess.Popen[bytes]) -> None:
    port = int(server.address.rpartition(":")[2].partition("/")[0])
    end = time.monotonic() + float(os.environ.get("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", _START_SECONDS))
    while time.monotonic() < end:
        if process.poll() is not None:
            raise UnreachableError(
                f"the temporary Prefect server ended while starting (exit code {process.returncode})"
            )
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PROBE_SECONDS)
        try:
            connection.request("GET", "/api/health")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)  # it does not listen yet
        finally:
            connection.close()
    raise UnreachableError("the temporary Prefect server does not answer")


def silence(address: str) -> str | None:
    """Return why the server whose API is at ``address`` does not answer, None when it does."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    try:
        with (
            temporary_settings({PREFECT_API_URL: address, PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client(httpx_settings={"timeout": _PROBE_SECONDS}, sync_client=True) as client,
        ):
            fault = client.api_healthcheck()
    except Exception as error:  # noqa: BLE001 - whatever keeps the client from asking
        raise_replaced_end(error)
        fault = error
    return None if fault is None else f"the Prefect server at {shown(address)} does not answer"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end. One that is still making its database is left to end by itself: it would be half made."""
    process.terminate()
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
