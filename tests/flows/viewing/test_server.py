"""The loopback's server answers its own page, and nobody else."""

import hashlib
import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flows.viewing.desk import Desk
from flows.viewing.server import viewing
from pipeline.errors import OutputError
from pipeline.findings.custody.ledger import Ledger, read_ledger
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.reviews import REVIEW_BYTES, parse_review
from reports.viewer import assets
from reports.viewer.build import open_context
from tests.reports.viewer.example_run import CT, write_viewed_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_viewed_run(tmp_path_factory.mktemp("served") / "run")


@pytest.fixture(scope="module")
def server(run):
    with viewing(Desk(open_context(run), run / "reviews")) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


def ask(server, method, path, headers=None, body=None):
    """Send a request with the server's own Host unless another is given; return status, headers and content."""
    connection = http.client.HTTPConnection("127.0.0.1", server.admission.port, timeout=20)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": server.admission.host, **(headers or {})}.items():
        for given in value if isinstance(value, list) else [value]:
            if given is not None:
                connection.putheader(name, given)
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def review(run, /, **changes):
    fields = {
        "format": "camaudit-review/1",
        "run": open_context(run).results.run,
        "ledger_head": read_ledger(run / "ledger.jsonl")[-1].hash,
        "reviewer": {"name": "Dr. Å", "role": "radiologist"},
        "cases": [{"study": CT, "map": "gradcam", "judgement": "agree", "comment": ""}],
        "written_at": "2026-11-29T12:00:00Z",
    }
    return json.dumps(fields | changes).encode()


def sent(server, body, **changes):
    """Send a review as the page does, with changed headers (None: left out)."""
    own = {
        "Origin": f"http://{server.admission.host}",
        "Content-Type": "application/json",
        "X-Camaudit-Token": server.admission.token,
        "Content-Length": str(len(body)),
    }
    changed = {name.replace("_", "-"): value for name, value in changes.items()}
    return ask(server, "POST", f"/{server.admission.token}/review", own | changed, body)


def test_the_page_and_its_cases_are_given(server):
    token = server.admission.token
    status, headers, content = ask(server, "GET", f"/{token}/")
    assert status == 200
    assert b"<!doctype html>" in content
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "sandbox" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers
    status, _, content = ask(server, "GET", f"/{token}/case/0", {"X-Camaudit-Token": token})
    assert status == 200
    assert b'"scenes"' in content


def test_the_library_is_given_to_the_page_as_it_was_released(server):
    token = server.admission.token
    status, headers, content = ask(server, "GET", f"/{token}/library", {"X-Camaudit-Token": token})
    assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert hashlib.sha256(content).hexdigest() == assets.LIBRARY_SHA256


def test_a_changed_library_is_refused_before_anything_is_listened_to(run, monkeypatch):
    monkeypatch.setattr(assets, "LIBRARY_SHA256", "00" * 32)
    with pytest.raises(OutputError, match="reinstall camaudit"), viewing(Desk(open_context(run), run / "reviews")):
        pass


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 404),
        ("/wrong/", {}, 404),
        ("/{token}", {}, 404),
        ("/{token}/", {"Host": "localhost:{port}"}, 421),
        ("/{token}/", {"Host": "evil.example"}, 421),
        ("/{token}/", {"Host": None}, 421),
        ("/{token}/", {"Host": ["127.0.0.1:{port}", "evil.example"]}, 421),
        ("/{token}/case/0", {}, 403),
        ("/{token}/library", {}, 403),
        ("/{token}/case/0", {"X-Camaudit-Token": "wrong"}, 403),
        ("/{token}/case/2", {"X-Camaudit-Token": "{token}"}, 404),
        ("/{token}/case/99", {"X-Camaudit-Token": "{token}"}, 404),
        ("/{token}/case/-1", {"X-Camaudit-Token": "{token}"}, 404),
        ("/{token}/case/../../results.json", {"X-Camaudit-Token": "{token}"}, 404),
        ("/{token}/results.json", {"X-Camaudit-Token": "{token}"}, 404),
        ("/%C3%A9/", {}, 404),
    ],
)
def test_whoever_does_not_belong_here_is_refused(server, path, headers, status):
    def filled(text):
        return text.format(token=server.admission.token, port=server.admission.port)

    given = {
        name: [filled(each) for each in value] if isinstance(value, list) else value and filled(value)
        for name, value in headers.items()
    }
    got, _, content = ask(server, "GET", filled(path), given)
    assert got == status
    assert server.admission.token.encode() not in content


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"X_Camaudit_Token": None}, 403),
        ({"X_Camaudit_Token": "wrong"}, 403),
        ({"Origin": None}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:80"}, 403),
        ({"Host": "localhost"}, 421),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/json; charset=utf-8"}, 415),
        ({"Content_Length": None}, 411),
        ({"Content_Length": "-1"}, 411),
        ({"Content_Length": ["5", "6"]}, 411),
        ({"Content_Length": None, "Transfer_Encoding": "chunked"}, 411),
        ({"Content_Length": str(REVIEW_BYTES + 1)}, 413),
        ({"Content_Length": "9" * 5000}, 413),
    ],
)
def test_a_review_is_taken_only_with_all_of_what_the_page_sends(server, run, changes, status):
    before = sorted((run / "reviews").glob("*"))
    assert sent(server, review(run), **changes)[0] == status
    assert sorted((run / "reviews").glob("*")) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run": "other"}, "review of run"),
        ({"ledger_head": "00" * 32}, "no event of run"),
        ({"cases": [{"study": "S9", "map": None, "judgement": "agree", "comment": ""}]}, "none of run"),
        ({"cases": [{"study": CT, "map": "no", "judgement": "agree", "comment": ""}]}, "has no map"),
        ({"format": "x"}, "format"),
    ],
)
def test_a_review_of_something_else_is_not_written(server, run, changes, words):
    status, _, content = sent(server, review(run, **changes))
    assert status == 422
    assert words in content.decode()
    assert content.count(b"\n") == 1


def test_a_review_is_written_as_its_format_has_it_for_its_owner_alone(server, run):
    status, _, content = sent(server, review(run))
    assert status == 201
    path = run / "reviews" / json.loads(content)["file"]
    assert parse_review(path.read_bytes()).reviewer.name == "Dr. Å"
    assert path.stat().st_mode & 0o077 == 0
    assert "Dr" not in path.name
    Ledger(run / "ledger.jsonl", load_site_key()).append("approved")  # another's approval does not make it stale
    assert sent(server, review(run))[0] == 201


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"])
def test_other_methods_are_not_answered(server, method):
    assert ask(server, method, f"/{server.admission.token}/")[0] == 501


def test_nothing_is_written_elsewhere(server, run):
    own = {"Origin": f"http://{server.admission.host}", "Content-Type": "application/json",
           "X-Camaudit-Token": server.admission.token, "Content-Length": "2"}  # fmt: skip
    assert ask(server, "POST", f"/{server.admission.token}/case/0", own, b"{}")[0] == 404


def test_only_the_loopback_is_listened_on(server):
    assert server.server_address[0] == "127.0.0.1"


def test_tabs_that_send_the_same_review_at_once_write_it_once(server, run):
    body = review(run, written_at="2026-11-29T13:00:00Z")
    others = [review(run, reviewer={"name": f"Dr. {number}", "role": ""}) for number in range(4)]
    before = set((run / "reviews").glob("*"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda content: sent(server, content), [body, others[0], body, *others[1:], body, body])
        )
    assert {status for status, _, _ in answers} == {201}
    written = set((run / "reviews").glob("*")) - before
    assert len(written) == 5
    assert {path.name for path in written} == {json.loads(content)["file"] for _, _, content in answers}
    assert all(parse_review(path.read_bytes()) for path in written)


def half_sent(server, body):
    """Send a review that breaks off in the middle, and return the answer's first line."""
    token, host = server.admission.token, server.admission.host
    heads = (
        f"POST /{token}/review HTTP/1.1", f"Host: {host}", f"Origin: http://{host}", "Content-Type: application/json",
        f"X-Camaudit-Token: {token}", f"Content-Length: {len(body) + 1}",
    )  # fmt: skip
    with socket.create_connection(("127.0.0.1", server.admission.port), timeout=20) as connection:
        connection.sendall("\r\n".join(heads).encode() + b"\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        return connection.makefile("rb").readline()


def test_a_review_that_breaks_off_is_not_written_even_if_it_reads_well(server, run):
    before = set((run / "reviews").glob("*"))
    assert b" 400 " in half_sent(server, review(run, written_at="2026-11-29T14:00:00Z"))
    assert set((run / "reviews").glob("*")) == before


def test_a_fault_is_a_line_that_tells_nothing_of_the_run_and_a_browser_that_leaves_none(server, monkeypatch, capfd):
    raised = [ConnectionResetError("S-CT"), RuntimeError("S-CT")]

    def fail(_self):
        raise raised.pop(0)

    monkeypatch.setattr(Desk, "page", fail)
    for said in ("", "camaudit: a request failed (RuntimeError)\n"):
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(server, "GET", f"/{server.admission.token}/")
        assert capfd.readouterr() == ("", said)


@pytest.mark.parametrize("content", [b"", b"[" * 50_000, b"null", b"{}", b"\xff\xfe", b"NaN", b'{"format": 1e999}'])
def test_what_is_no_review_is_refused_in_a_line(server, run, content):
    before = set((run / "reviews").glob("*"))
    status, _, answer = sent(server, content)
    assert (status, answer.count(b"\n")) == (422, 1)
    assert set((run / "reviews").glob("*")) == before
