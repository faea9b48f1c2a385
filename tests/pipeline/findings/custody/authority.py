"""A time stamping authority (RFC 3161) on the loopback, by ``openssl ts``, and ones that misbehave."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

__all__ = ["Signer", "make_signer", "serving"]

_CONFIG = """[tsa]
default_tsa = authority
[authority]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
"""
_EXTENSIONS = "extendedKeyUsage=critical,{usage}\nkeyUsage=critical,digitalSignature\n"


@dataclass(frozen=True)
class Signer:
    """An authority's folder: ``root`` stands above ``certificate``."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "authority.pem"

    def reply(self, request: bytes) -> bytes:
        (self.folder / "request").write_bytes(request)
        signer = "-signer authority.pem -inkey authority.key"
        _openssl(self.folder, f"ts -reply -config config -section authority -queryfile request {signer} -out answer")
        return (self.folder / "answer").read_bytes()


def make_signer(folder: Path, *, kind: str = "rsa:2048") -> Signer:
    """Make keys and certificates of an authority named "Example Time"; skip where openssl cannot."""
    if shutil.which("openssl") is None or subprocess.run(["openssl", "ts", "-help"], capture_output=True).returncode:
        pytest.skip("no openssl with time stamps")
    folder.mkdir(parents=True)
    (folder / "config").write_text(_CONFIG)
    (folder / "serial").write_text("01\n")
    (folder / "extensions").write_text(_EXTENSIONS.format(usage="timeStamping"))
    new = f"-newkey {kind} -nodes"
    _openssl(folder, f"req -x509 {new} -keyout root.key -out root.pem -days 3650 -subj /CN=Root")
    _openssl(folder, f"req {new} -keyout authority.key -out request.csr -subj /O=Example/CN=Example_Time")
    issued = "-CA root.pem -CAkey root.key -set_serial 7 -extfile extensions -days 3650"
    _openssl(folder, f"x509 -req -in request.csr {issued} -out authority.pem")
    return Signer(folder)


def _openssl(folder: Path, arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)


@contextmanager
def serving(reply: Callable[[bytes], bytes], *, status: int = 200) -> Iterator[str]:
    """Serve answers on the loopback; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            answer = reply(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/stamp"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
