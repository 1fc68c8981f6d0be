"""Stands between a fleet and its S3 server, and does to requests what networks and servers do.

One request a connection. Signatures hold: the server sees the client's own headers.
"""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Self

_REFUSED = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
_CHUNK_BYTES = 256 * 1024


class _Cut(Exception):
    """The connection is to end here, as if a cable had been pulled."""


@dataclass
class Weather:
    """What requests meet: the share of writes that fail, seconds each waits, and being away."""

    failing_writes: float = 0.0
    delay_s: float = 0.0
    away: bool = False


class StoreProxy:
    """Use as a context manager; change `weather` at any time. `met` counts what it did, by kind.

    A failing write is refused with 503, cut in its middle, or carried out with its answer lost.
    `carried` counts bytes, up and down, and requests by method.
    """

    def __init__(self, server_port: int, *, seed: int = 0) -> None:
        self.weather, self.met, self.carried = Weather(), Counter[str](), Counter[str]()
        self._server_port, self._chance = server_port, random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener: asyncio.Server | None = None
        self._serving = set[asyncio.Task[None] | None]()  # or those that wait would be collected
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._listener = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = int(self._listener.sockets[0].getsockname()[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        server: asyncio.StreamWriter | None = None
        self._serving.add(task := asyncio.current_task())
        try:
            head = await client.readuntil(b"\r\n\r\n")
            self.carried[head.partition(b" ")[0].decode()] += 1
            self.carried["up"] += _body_bytes(head)
            if self.weather.away:
                self.met["away"] += 1
                raise _Cut
            if self.weather.delay_s:
                self.met["slowed"] += 1
                await asyncio.sleep(self.weather.delay_s * self._chance.uniform(0.5, 1.5))
            fault = self._fault(head)
            if fault == "refused":
                await client.readexactly(_body_bytes(head))
                back.write(_answer(_REFUSED))
                raise _Cut
            answers, server = await asyncio.open_connection("127.0.0.1", self._server_port)
            server.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            left = _body_bytes(head)
            until = left // 2 if fault == "cut short" else 0
            while left > until:
                data = await client.read(min(left - until, _CHUNK_BYTES))
                if not data:
                    raise _Cut
                server.write(data)
                await server.drain()
                left -= len(data)
            if fault == "cut short":
                raise _Cut
            while data := await answers.read(_CHUNK_BYTES):
                if fault == "answer lost":
                    raise _Cut
                back.write(data)
                self.carried["down"] += len(data)
                await back.drain()
        except (_Cut, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._serving.discard(task)
            for each in (server, back):
                if each is not None:
                    each.close()

    def _fault(self, head: bytes) -> str | None:
        if not head.startswith(b"PUT ") or self._chance.random() >= self.weather.failing_writes:
            return None
        fault = self._chance.choice(("refused", "cut short", "answer lost"))
        self.met[f"write {fault}"] += 1
        return fault


def _body_bytes(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _answer(body: bytes) -> bytes:
    head = f"HTTP/1.1 503 Slow Down\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
