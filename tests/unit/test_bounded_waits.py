"""Every wait has a bound, or a reason why it needs none of its own."""

import pytest

from tests.unit.imports import sources
from tests.unit.waits import waits

PACKAGES = ("clipfleet", "clipfleet_producer", "clipfleet_workers")

# Where one stands and what is called: what bounds it all the same.
_STORE = "its work is requests to the store, each of which has a deadline (folders: the kernel's)"
_MOMENT = "held for some lines of arithmetic, that wait for nothing"
REASONS = {
    "clipfleet/connections.py: resolve: socket.getaddrinfo": "in `within`, left behind in time",
    "clipfleet/connections.py: _Connection._new_conn: _deadline.get": "a context variable",
    "clipfleet/connections.py: _Connection._share: _deadline.get": "a context variable",
    "clipfleet_producer/prefetch.py: _by_threads: begun.popleft().result": _STORE,
    "clipfleet/ports.py: free_port: socket.socket": "only bound, to learn of a free port",
    "clipfleet_producer/runs/writing.py: "
    "_ShardWriter.write: concurrent.futures.ThreadPoolExecutor": _STORE,
    "clipfleet_producer/runs/writing.py: _ShardWriter.write: writing.popleft().result": _STORE,
    "clipfleet_producer/prefetch.py: where_needed.ready: begun.result": _STORE,
    "clipfleet_producer/feeding/shards.py: "
    "ClaimedShards.__init__: concurrent.futures.ThreadPoolExecutor": _STORE,
    "clipfleet_producer/feeding/shards.py: ClaimedShards.next: loaded.result": _STORE,
    "clipfleet_workers/delivery/tasks.py: threading.Lock": (
        "taken for half a second at a time, until the worker stops"
    ),
    "clipfleet/broker/connection.py: connect: redis.Redis": "its pool has the time-outs",
    "clipfleet_workers/inference/loop.py: Loop.run: done.result": (
        "None for loading alone: `load_timeout_s`"
    ),
    "clipfleet_workers/inference/openai_engine.py: OpenAIEngine.__init__: openai.AsyncOpenAI": (
        "asked through `Loop`"
    ),
    "clipfleet_workers/inference/transformers_engine.py: "
    "TransformersEngine.__init__: threading.Lock": (
        "taken by `take`, within a request's time limit"
    ),
    "clipfleet_workers/inference/vllm_engine/engine.py: VllmEngine.__init__: self._loop.run": (
        "loading: `load_timeout_s`"
    ),
    "clipfleet_workers/delivery/leases.py: Leases.__init__: threading.RLock": _MOMENT,
    "clipfleet_workers/inference/loaded_model.py: Slots.__init__: threading.BoundedSemaphore": (
        "taken by `take`, within a request's time limit"
    ),
    "clipfleet_workers/inference/loaded_model.py: Slots.__init__: threading.Lock": "likewise",
    "clipfleet_workers/inference/loaded_model.py: Busy.__init__: threading.Lock": _MOMENT,
    "clipfleet_workers/inference/weights.py: _download: huggingface_hub.snapshot_download": (
        "`load_timeout_s`"
    ),
}

FOUND = {
    f"{path}: {wait.place}": f"{path}:{wait.line}: {wait.place.rpartition(': ')[2]} {wait.lacks}"
    for package in PACKAGES
    for path, source in sources(package).items()
    for wait in waits(source)
}


def test_no_call_waits_without_a_bound_or_a_reason() -> None:
    assert [said for key, said in FOUND.items() if key not in REASONS] == []


def test_every_reason_is_of_a_call_that_there_is() -> None:
    assert [key for key in REASONS if key not in FOUND] == []


# (calls without a bound, the same with one)
PLANTED = {
    "a process": (
        [
            "import subprocess\nsubprocess.run(['a'])",
            "import subprocess as sp\nsp.check_output(['a'], timeout=None)",
            "from subprocess import check_call\ncheck_call(['a'])",
            "process.wait()",
            "process.wait(None)",
            "process.wait(timeout=None)",
            "process.communicate(b'')",
            "import os\nos.waitpid(1, 0)",
            "import os\nos.system('a')",
        ],
        [
            "import subprocess\nsubprocess.run(['a'], timeout=1)",
            "process.wait(1)",
            "process.wait(timeout=left)",
            "process.communicate(b'', 1)",
            "process.poll()",
            "import os\nos.waitpid(1, os.WNOHANG)",
        ],
    ),
    "the network": (
        [
            "from urllib.request import urlopen\nurlopen('u')",
            "import urllib3\nurllib3.PoolManager(timeout=1)",
            "import httpx\nhttpx.get('u', timeout=1)",
            "import requests\nrequests.get('u', timeout=1)",
            "import openai\nopenai.OpenAI(timeout=1)",
            "def f():\n    import openai\n    openai.AsyncOpenAI()",
            "import socket\nsocket.create_connection(('h', 1))",
            "import socket\nsocket.getaddrinfo('h', 1)",
            "from socket import socket\nsocket()",
            "import select\nselect.select([], [], [])",
            "import select\nselect.poll()",
        ],
        [
            "from urllib.request import urlopen\nurlopen('u', timeout=1)",
            "import socket\nsocket.create_connection(('h', 1), 5)",
            "import select\nselect.select([], [], [], 1)",
            "from clipfleet.connections import Pools\nPools(request_s=1)",
        ],
    ),
    "threads": (
        [
            "thread.join()",
            "thread.join(None)",
            "jobs.get()",
            "jobs.get(True)",
            "jobs.get(block=True)",
            "jobs.get(timeout=None)",
            "event.wait()",
            "future.result()",
            "future.result(timeout=None)",
            "future.result(None if late else 5)",
            "future.exception()",
            "lock.acquire()",
            "lock.acquire(True)",
            "import threading\nthreading.Lock()",
            "from threading import BoundedSemaphore as Slots\nSlots(3)",
            "import queue\nqueue.Queue(1)",
            "import threading\nthreading.Thread(target=f)",
            "from concurrent.futures import wait\nwait(futures)",
            "from concurrent.futures import as_completed\nas_completed(futures)",
            "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(): ...",
            "loop.run(work, timeout_s=None)",
            "import fcntl\nfcntl.flock(f, fcntl.LOCK_EX)",
        ],
        [
            "thread.join(5)",
            "', '.join(texts)",
            "values.get('key')",
            "values.get('key', None)",
            "jobs.get(timeout=1)",
            "jobs.get(False)",
            "event.wait(1)",
            "future.result(1)",
            "log.exception('text')",
            "lock.acquire(timeout=1)",
            "lock.acquire(blocking=False)",
            "import threading\nthreading.Event()",
            "import threading\nthreading.Thread(target=f, daemon=True)",
            "from concurrent.futures import wait\nwait(futures, timeout=1)",
            "loop.run(work, timeout_s=1)",
            "import fcntl\nfcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        ],
    ),
    "a broker": (
        [
            "import redis\nredis.Redis()",
            "import redis\nredis.Redis.from_url('u', socket_connect_timeout=5)",
            "options = {'visibility_timeout': 5}",
            "options = {'socket_connect_timeout': 5, 'socket_keepalive': True}",
        ],
        [
            "import redis\nredis.Redis(socket_timeout=1, socket_connect_timeout=1)",
            "options = {'socket_connect_timeout': 5, 'socket_timeout': 5}",
        ],
    ),
}


@pytest.mark.parametrize("what", PLANTED)
def test_the_lint_sees_a_wait_without_a_bound_and_none_with_one(what: str) -> None:
    without, with_one = PLANTED[what]

    assert [source for source in without if not waits(source)] == []
    assert [source for source in with_one if waits(source)] == []


def test_a_call_is_named_by_where_it_stands() -> None:
    (found,) = waits("class A:\n    def f(self):\n        self.process.wait()")

    assert (found.place, found.line, found.lacks) == ("A.f: self.process.wait", 3, "timeout=")
