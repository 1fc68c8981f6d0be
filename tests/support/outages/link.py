"""A TCP link to a broker that can be told to freeze, to be cut, or to lead elsewhere."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Self


class Link:
    """Use as a context manager. New connections lead to `target`, a port, from then on."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener: asyncio.Server | None = None
        self._pairs = set[_Pair]()

    def __enter__(self) -> Self:
        self._thread.start()
        self._listener = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = int(self._listener.sockets[0].getsockname()[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def freeze(self) -> None:
        """Every open connection goes dead without a word; new ones work."""
        self._do(self._each(lambda pair: pair.frozen.set()))

    def cut(self) -> None:
        """Every open connection ends."""
        self._do(self._each(lambda pair: pair.end()))

    async def _each(self, do: Any) -> None:
        for pair in list(self._pairs):
            do(pair)

    async def _close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        pair = _Pair(writer, up[1])
        self._pairs.add(pair)
        try:
            await asyncio.gather(pair.pump(reader, up[1]), pair.pump(up[0], writer))
        except (OSError, asyncio.CancelledError):
            pass  # asyncio would say of a task that is called off that it failed
        finally:
            self._pairs.discard(pair)
            pair.end()


class _Pair:
    """Both sides of one connection."""

    def __init__(self, *sides: asyncio.StreamWriter) -> None:
        self._sides, self.frozen = sides, asyncio.Event()

    async def pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(1 << 16):
                if self.frozen.is_set():
                    await asyncio.Event().wait()  # swallowed; the socket stays open
                sink.write(data)
                await sink.drain()
            if self.frozen.is_set():
                await asyncio.Event().wait()
        finally:
            if not self.frozen.is_set():
                sink.close()

    def end(self) -> None:
        for side in self._sides:
            side.close()
