"""A real S3 server for tests: Ceph's RADOS gateway, with authentication and persistence.

Three processes on 127.0.0.1: ceph-mon, ceph-osd and radosgw, in one process group, and told by the
kernel to die with the thread that started them. All state lies in one folder.
"""

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from clipfleet.ports import free_port
from clipfleet.store import Store, open_store

BINARIES = (
    "ceph",
    "ceph-authtool",
    "ceph-mon",
    "ceph-osd",
    "monmaptool",
    "radosgw",
    "radosgw-admin",
    "setpriv",
)
INSTALL = "apt-get update && apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd"

_START_TIMEOUT_S = 60
_LOG_TAIL_CHARS = 1500

_CONFIG = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_port}]
public addr = 127.0.0.1
# Only the S3 side asks for credentials.
auth cluster required = none
auth service required = none
auth client required = none
keyring = {folder}/keyring
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/run
run dir = {folder}/run
crash dir = {folder}/log
admin socket = {folder}/run/$name.asok
pid file = {folder}/run/$name.pid
log file = {folder}/log/$name.log
mon cluster log file = {folder}/log/cluster.log
# One copy of everything, on one disk, however full that is.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
# A sparse file: it takes the space that objects take.
bluestore block size = 21474836480
bluestore cache autotune = false
bluestore cache size = 67108864
# A lease of a minute. With one copy there is no peer whose answer would end the wait for a lease
# that lapsed while the machine was busy: every later request would hang.
osd pool default read lease ratio = 6
# Short waits: alone on its machine, a cluster need not listen for others. Without these lines the
# first start takes several times as long.
paxos propose interval = 0.05
paxos min wait = 0.01
mon tick interval = 1
osd heartbeat interval = 1
osd heartbeat grace = 10
objecter tick interval = 0.5
objecter timeout = 1
# Making a bucket waits until a killed gateway is forgotten, by default for 30 s.
osd client watch timeout = 2

[client]
ms mon client mode = crc secure
mon client hunt interval = 0.3
rgw enable ops log = false
rgw thread pool size = 64
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
"""


def missing_binaries() -> list[str]:
    """Programs that the server needs and this machine lacks; see `INSTALL`."""
    return [name for name in BINARIES if shutil.which(name) is None]


class S3Server:
    """A running server, as a context manager.

    The folder is set up on the first start and kept; a later start on it finds everything again,
    with the first start's credentials. Not started, on a folder where one runs, it has its address
    and can `call`.

    Start it from a thread that lives as long as the server must: with that thread it dies.
    """

    def __init__(
        self,
        folder: Path,
        *,
        access_key: str | None = None,
        secret_key: str | None = None,
        port: int | None = None,
    ) -> None:
        self._folder = folder.absolute()
        self._identity = self._folder / "identity.json"
        if self._identity.exists():
            known = json.loads(self._identity.read_text())
        else:
            known = {
                "access_key": access_key or secrets.token_hex(10),
                "secret_key": secret_key or secrets.token_hex(20),
                "mon_port": free_port(),
                "fsid": str(uuid.uuid4()),
            }
        self.access_key: str = known["access_key"]
        self.secret_key: str = known["secret_key"]
        self.port = port or free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._known = known
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self._stop)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def store(self, uri: str, *, endpoint: str | None = None) -> Store:
        """The store at `uri` on this server, or reached by another endpoint; not prepared."""
        return open_store(
            uri,
            s3_endpoint=endpoint or self.endpoint,
            s3_access_key=self.access_key,
            s3_secret_key=self.secret_key,
        )

    def add_key(self, access_key: str, secret_key: str) -> None:
        """Let in a second pair of keys, with the same rights as the first."""
        self.call(
            *("radosgw-admin", "key", "create", "--uid=tests", "--key-type=s3"),
            *(f"--access-key={access_key}", f"--secret-key={secret_key}"),
        )

    def kill(self) -> None:
        """`kill -9` radosgw; what it has acknowledged is safe with the other two."""
        gateway = self._processes["radosgw"]
        gateway.kill()
        gateway.wait()

    def restart(self) -> None:
        """Kill radosgw, if it still runs, and start it again; returns when it answers."""
        self.kill()
        self._start_gateway()

    @contextlib.contextmanager
    def disk_standing_still(self) -> Iterator[None]:
        """Stop ceph-osd where it is, as a machine with much to do might."""
        disk = self._processes["ceph-osd"]
        disk.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            disk.send_signal(signal.SIGCONT)

    def _start(self) -> None:
        first = not self._identity.exists()
        for name in ("mon", "osd", "run", "log"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        for left_over in (self._folder / "run").iterdir():
            left_over.unlink()
        self._config.write_text(
            _CONFIG.format(
                folder=self._folder,
                fsid=self._known["fsid"],
                mon_port=self._known["mon_port"],
                port=self.port,
            )
        )
        if first:
            self._make_mon()
        self._spawn("ceph-mon", "-i", "a", "-f")
        if first:
            self._make_osd()
        self._spawn("ceph-osd", "-i", "0", "-f")
        if first:
            self._make_user()
            self._identity.write_text(json.dumps(self._known))
        self._start_gateway()

    def _make_mon(self) -> None:
        keyring, monmap = str(self._folder / "keyring"), str(self._folder / "monmap")
        address = f"[v2:127.0.0.1:{self._known['mon_port']}]"
        self.call(
            "ceph-authtool", "-C", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"
        )
        fsid = self._known["fsid"]
        self.call("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, monmap)
        self.call("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)

    def _make_osd(self) -> None:
        osd = str(uuid.uuid4())
        self.call("ceph", "--connect-timeout", "20", "osd", "new", osd)
        self.call("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)

    def _make_user(self) -> None:
        self.call(
            *("radosgw-admin", "user", "create", "--uid=tests", "--display-name=tests"),
            *(f"--access-key={self.access_key}", f"--secret-key={self.secret_key}"),
        )

    def _start_gateway(self) -> None:
        self._spawn("radosgw", "-n", "client.rgw", "-f")
        give_up_at = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended with {process.returncode}\n{self._logs()}")
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"no answer in {_START_TIMEOUT_S} s\n{self._logs()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _spawn(self, program: str, *arguments: str) -> None:
        running = [one.pid for one in self._processes.values() if one.poll() is None]
        group = os.getpgid(running[0]) if running else 0
        with self._log(program).open("ab") as log:
            self._processes[program] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", program, *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=group,
            )

    def call(self, program: str, *arguments: str) -> None:
        """Run one command to its end. Raises RuntimeError with the logs when it fails."""
        try:
            done = subprocess.run(
                ["setpriv", "--pdeathsig", "KILL", program, *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_START_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{program} hangs\n{self._logs()}") from error
        if done.returncode:
            output = done.stdout.decode(errors="replace")
            raise RuntimeError(f"{program} ended with {done.returncode}\n{output}{self._logs()}")

    def _stop(self) -> None:
        """Kill all three at once: what they acknowledged is on disk, and this takes no time."""
        running = [one.pid for one in self._processes.values() if one.poll() is None]
        if running:
            os.killpg(os.getpgid(running[0]), signal.SIGKILL)
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    @property
    def _config(self) -> Path:
        return self._folder / "ceph.conf"

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "CEPH_CONF": str(self._config)}

    def _log(self, program: str) -> Path:
        return self._folder / "log" / f"{program}.out"

    def _logs(self) -> str:
        """The end of each log."""
        return "\n".join(
            f"--- {log.name}\n{log.read_text(errors='replace')[-_LOG_TAIL_CHARS:]}"
            for log in sorted((self._folder / "log").iterdir())
            if log.is_file()
        )
