"""A real Orthanc on the loopback, in a network namespace of its own: it listens on every interface it finds."""

import base64
import fcntl
import json
import shutil
import socket
import struct
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

PLUGINS = (Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"), Path("/usr/local/share/orthanc/plugins"))
AUTHORIZATION = "Basic " + base64.b64encode(b"audit:word").decode()
TITLE = "ORTHANC"
_FLAGS, _UP = 0x8913, 1  # SIOCGIFFLAGS, IFF_UP


def reachable_interfaces():
    """Return the names of the interfaces that are up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        names = [name for _, name in socket.if_nameindex()]
        told = {name: fcntl.ioctl(asking, _FLAGS, struct.pack("16sH14s", name.encode(), 0, b"")) for name in names}
    return {name for name, answer in told.items() if struct.unpack("16sH14s", answer)[1] & _UP}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def running_orthanc(folder: Path, dicom_port: int | None = None):
    """Yield the URL of a running Orthanc's root; only the process that was started here is ended.

    With ``dicom_port`` it takes objects by C-STORE, of whoever calls it ``ORTHANC``.
    """
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    plugin = next((path for path in PLUGINS if path.exists()), None)
    if program is None or plugin is None:
        pytest.skip("no Orthanc with its DICOMweb plugin: apt-get install orthanc orthanc-dicomweb")
    if reachable_interfaces() != {"lo"}:
        pytest.skip("Orthanc would listen on the network: run make test-pacs, which starts it apart from it")
    port = free_port()
    settings = {
        "Name": "test", "StorageDirectory": str(folder), "IndexDirectory": str(folder), "HttpPort": port,
        "DicomServerEnabled": dicom_port is not None, "DicomPort": dicom_port or 4242, "DicomAet": TITLE,
        "DicomAlwaysAllowStore": True, "DicomCheckCalledAet": True, "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True, "RegisteredUsers": {"audit": "word"}, "Plugins": [str(plugin)],
        "DicomWeb": {"Enable": True},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        wait_for(process, f"http://127.0.0.1:{port}/dicom-web/studies", folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def asked(method, url, **more):
    with httpx.Client(trust_env=False, headers={"Authorization": AUTHORIZATION}, timeout=30) as client:
        return client.request(method, url, **more)


def wait_for(process, url, log):
    while process.poll() is None:
        try:
            assert asked("GET", url).status_code == 200
        except httpx.TransportError:
            time.sleep(0.1)  # another program's start: nothing tells of it
        else:
            return
    pytest.fail(log.read_text())
