"""A whole job in which all goes wrong that may bring a secret to light, and what was seen of it."""

import base64
import contextlib
import http.server
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, quote_plus

import psutil

from tests.support import clips
from tests.support.broker import BrokerServer
from tests.support.cli import BIN, Cli
from tests.support.s3_server import S3Server

# With letters that URLs, JSON and shells write in another way.
SECRETS = {
    "broker password": "brk&Pa55 w%rd+9f3e",
    "mistaken password": "mist4ken Pa%ss+77aa",
    "S3 key": "S3/Se+cret=Key&41bc",
    "mistaken S3 key": "S3/Mis+taken=Key&5d20",
    "engine key": "eng-K3y/x+y=z&c0de",
}
BUCKET = "secrets"
WAIT = ("--wait", "--captioning-algorithm", "mini", "--run", "fleet")


def forms(secret: str) -> set[bytes]:
    """How a secret may be written: as it is, in URLs, in JSON, and within base64."""
    texts = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}
    texts.add(json.dumps(secret)[1:-1])
    found = {text.encode() for text in texts}
    for text in list(found):
        for before in range(3):  # where it begins within base64's groups of three
            coded = base64.b64encode(b"\0" * before + text)
            found.add(coded[(0, 2, 3)[before] : -4])
    return found


def seen(data: bytes) -> list[str]:
    """The names of the secrets that are in the data."""
    return [name for name, s in SECRETS.items() if any(form in data for form in forms(s))]


class Engine(http.server.ThreadingHTTPServer):
    """A model server that captions whatever it is asked for, with the right key."""

    daemon_threads = True


class Answer(http.server.BaseHTTPRequestHandler):
    """What `Engine` says."""

    def do_GET(self) -> None:
        self._say({"data": [{"id": "mini", "object": "model"}], "object": "list"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "A caption."}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        self._say({"id": "1", "object": "chat.completion", "created": 1, "model": "mini"}, choice)

    def _say(self, answer: dict[str, object], *choices: object) -> None:
        allowed = self.headers["Authorization"] == f"Bearer {SECRETS['engine key']}"
        if choices:
            answer |= {"choices": list(choices)}
        body = json.dumps(answer if allowed else {"error": {"message": "no"}}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: pytest has enough to show."""


class Watch:
    """Notes what may be seen of the commands' processes while they run."""

    def __init__(self, cli: Cli) -> None:
        self._cli, self._stop = cli, threading.Event()
        self.command_lines: set[bytes] = set()
        self.listening: set[str] = set()
        self.brokers: set[str] = set()  # what is only for a process's own user to see
        self.journals: dict[Path, bytes] = {}
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            for process in self._cli.processes():
                with contextlib.suppress(psutil.Error, OSError):
                    self._look(process)
            for path in self._cli.tmp.glob("clipfleet-*/appendonlydir/*"):
                with contextlib.suppress(OSError):
                    self.journals[path] = path.read_bytes()

    def _look(self, process: psutil.Process) -> None:
        self.command_lines.add(Path(f"/proc/{process.pid}/cmdline").read_bytes())
        self.brokers.add(process.environ().get("CLIPFLEET_BROKER", ""))
        for each in process.net_connections("inet"):
            if each.status == psutil.CONN_LISTEN:
                self.listening.add(each.laddr.ip)


# A prepare worker that does not survive the clip crash.mp4 as it should.
CRASHING = """
import sys
from clipfleet_workers.steps import prepare as room
prepare = room.prepare
def crash(context, app, job, given_up=None):
    if job.source.endswith("crash.mp4"):
        raise RuntimeError(f"{context.settings.broker} {context.store} {context.broker}")
    prepare(context, app, job, given_up)
room.prepare = crash
sys.argv = ["clipfleet-worker", "prepare"]
from clipfleet_workers.cli import main
main()
"""
# A worker that ends as it starts, with all that it knows at hand.
ENDING = """
import sys
import clipfleet_workers.delivery.tasks
def build_app(context, queues):
    url = context.settings.broker.get_secret_value()
    raise RuntimeError("it ends")
clipfleet_workers.delivery.tasks.build_app = build_app
sys.argv = ["clipfleet-worker", "assemble"]
from clipfleet_workers.cli import main
main()
"""


class Scene:
    """A whole job and all that may go wrong with secrets, and what there was to be seen of it."""

    def __init__(self, cli: Cli, server: S3Server, broker: BrokerServer, engine: Engine) -> None:
        self._cli, self._broker = cli, broker
        self.said: dict[str, bytes] = {}
        self.codes: dict[str, int] = {}
        self.watch = Watch(cli)
        self.settings = {
            "CLIPFLEET_BROKER": broker.url,
            "CLIPFLEET_STORE": f"s3://{BUCKET}",
            "CLIPFLEET_S3_ENDPOINT": server.endpoint,
            "CLIPFLEET_S3_ACCESS_KEY": "secrets-test",
            "CLIPFLEET_S3_SECRET_KEY": SECRETS["S3 key"],
            "CLIPFLEET_ENGINE": "openai",
            "CLIPFLEET_ENGINE_URL": f"http://127.0.0.1:{engine.server_port}/v1",
            "CLIPFLEET_ENGINE_API_KEY": SECRETS["engine key"],
            "CLIPFLEET_LOG_FORMAT": "json",
        }
        self.folder = cli.temp / "scene"
        self.folder.mkdir()
        self._filed = {"CLIPFLEET_CONFIG": str(self._toml("whole", **self.settings))}

    def _toml(self, name: str, **settings: object) -> Path:
        path = self.folder / f"{name}.toml"
        lines = (
            f"{name.removeprefix('CLIPFLEET_').lower()} = {json.dumps(value)}"
            for name, value in settings.items()
        )
        path.write_text("\n".join(lines))
        return path

    def start(self, name: str, *command: str, **changed: str) -> "subprocess.Popen[bytes]":
        """Start a command that logs to a file of its own; with a file, without variables."""
        program, *arguments = command
        start = [sys.executable, "-P", "-c"] if program == "-c" else [str(BIN / program)]
        settings = {} if "CLIPFLEET_CONFIG" in changed else self.settings
        rest = {"CLIPFLEET_VERBOSE": "1", "CLIPFLEET_LEASE_S": "3", "CLIPFLEET_CONCURRENCY": "1"}
        with self._log(name).open("wb") as log:
            return subprocess.Popen(
                [*start, *arguments],
                env={**self._cli.env, **rest, **settings, **changed},
                cwd=self._cli.work,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def run(self, name: str, *command: str, **changed: str) -> None:
        """Run a command to its end."""
        self.end(name, self.start(name, *command, **changed))

    def end(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        """Wait for a command's end, and keep what it said."""
        self.codes[name] = process.wait(120)
        self.said[name] = self._log(name).read_bytes()

    def wait_for(self, name: str, text: str) -> None:
        """Wait until a command says something."""
        until = time.monotonic() + 120
        while text.encode() not in self._log(name).read_bytes():
            assert time.monotonic() < until, self._log(name).read_text(errors="replace")
            time.sleep(0.05)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def play(self) -> None:
        """All of it."""
        good, text, crash = (self.folder / f"{name}.mp4" for name in ("good", "text", "crash"))
        good.write_bytes(clips.encode(30, options={"preset": "ultrafast"}))
        for path in (text, crash):
            path.write_text("not a video")
        with self.watch:
            workers = self._workers()
            with ThreadPoolExecutor(3) as pool:
                waiting = [
                    pool.submit(self._whole_run, good),
                    pool.submit(self._fleet_run, text, crash),
                    *(
                        pool.submit(self.run, name, *command, **changed)
                        for name, (_, command, changed) in self.failures(text).items()
                    ),
                ]
                for each in waiting:
                    each.result()
            self._outage(text)
            for worker in workers.values():
                worker.terminate()
            for name, worker in workers.items():
                self.end(name, worker)
        for path in self._cli.home.rglob("*.log"):
            self.said[f"log of run's {path.name}"] = path.read_bytes()

    def _whole_run(self, clip: Path) -> None:
        out = ("--out", f"s3://{BUCKET}/run", "--captioning-algorithm", "mini")
        self.run("run", "clipfleet", "run", str(clip), *out, "--verbose", "--run", "run")

    def _workers(self) -> "dict[str, subprocess.Popen[bytes]]":
        gpus = ("clipfleet-worker", "caption", "--captioning-algorithm", "mini", "--gpus", "0")
        return {
            "prepare": self.start("prepare", "-c", CRASHING),
            "assemble": self.start("assemble", "clipfleet-worker", "assemble", **self._filed),
            "gpus": self.start("gpus", *gpus, "--broker", self.settings["CLIPFLEET_BROKER"]),
        }

    def _fleet_run(self, text: Path, crash: Path) -> None:
        self.run("submit", "clipfleet", "submit", str(text), *WAIT, **self._filed)
        self.run("crash", "clipfleet", "submit", str(crash), **self._filed)
        self.wait_for("prepare", "raised unexpected")
        for command in ("status", "failures"):
            self.run(command, "clipfleet", command, "fleet", "--json")
        self.run("check", "clipfleet-worker", "prepare", "--check")
        self.wait_for("gpus", "ready.")

    def _outage(self, text: Path) -> None:
        self._broker.kill()
        self.run("broker away", "clipfleet", "submit", str(text), *WAIT)
        for name in ("prepare", "assemble"):
            self.wait_for(name, "Cannot connect to")
        self._broker.start()

    def failures(self, text: Path) -> dict[str, tuple[int, tuple[str, ...], dict[str, str]]]:
        """Commands that must fail: their exit codes, what they are, and what is changed."""
        wrong = url_of(SECRETS["mistaken password"], self._broker.port)
        away = url_of(SECRETS["broker password"], 1, user="me")
        submit = ("clipfleet", "submit", str(text))
        worker = ("clipfleet-worker", "prepare")
        caption = ("clipfleet-worker", "caption", "--captioning-algorithm", "mini")
        key = SECRETS["S3 key"]
        quoted = quote(key, safe="")
        files = {
            "setting of no name": self._toml("no-name", **self.settings, s3_secret=key),
            "setting of a wrong kind": self._toml("kind", s3_secret_key=[key], broker=[wrong]),
            "file that is no TOML": self._toml("none", s3_secret_key=key, broker=wrong),
        }
        files["file that is no TOML"].write_text(f"s3_secret_key = {key}\nbroker = {wrong}")
        return {
            "wrong password": (4, submit, {"CLIPFLEET_BROKER": wrong}),
            "worker's wrong password": (4, worker, {"CLIPFLEET_BROKER": wrong}),
            "no broker": (4, submit, {"CLIPFLEET_BROKER": away}),
            "no port": (2, submit, {"CLIPFLEET_BROKER": f"redis://:{quoted}@host:port/0"}),
            "wrong key": (5, submit, {"CLIPFLEET_S3_SECRET_KEY": SECRETS["mistaken S3 key"]}),
            "worker's wrong key": (
                5,
                worker,
                {"CLIPFLEET_S3_SECRET_KEY": SECRETS["mistaken S3 key"]},
            ),
            "key in the endpoint": (
                2,
                submit,
                {"CLIPFLEET_S3_ENDPOINT": f"http://me:{quoted}@127.0.0.1:1"},
            ),
            "key in the engine's URL": (
                2,
                caption,
                {"CLIPFLEET_ENGINE_URL": f"http://me:{quoted}@127.0.0.1:1/v1"},
            ),
            "wrong engine key": (
                6,
                caption,
                {"CLIPFLEET_ENGINE_API_KEY": SECRETS["mistaken S3 key"]},
            ),
            "end": (1, ("-c", ENDING), {}),
            "help": (0, ("clipfleet-worker", "--help"), {}),
            **{name: (2, submit, {"CLIPFLEET_CONFIG": str(path)}) for name, path in files.items()},
        }


def url_of(password: str, port: int, *, user: str = "") -> str:
    """A broker's address with a password in it."""
    return f"redis://{user}:{quote(password, safe='')}@127.0.0.1:{port}/0"
