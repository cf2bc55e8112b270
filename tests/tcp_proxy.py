"""A stretch of network that can be cut, stopped and slowed: one address of loopback in front of another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65536
SLOW_SECONDS = 0.1  # for each chunk, either way: latency, and 640 KB/s at most
SIZE_BYTES, API_KEY_BYTES = 4, 2


class Network(StrEnum):
    """What becomes of bytes and connections."""

    WHOLE = "whole"
    SLOW = "slow"
    HOLE = "hole"  # nothing passes and nothing ends, as behind a firewall that drops packets
    CUT = "cut"  # connections end, new ones are refused


class TcpProxy:
    """Passes bytes between `port` and `target_port` for as long as the context lasts, as its network is.

    `on_request` is told the API key of each request on its way to a Kafka broker, and may set the network before it
    passes. It is called in the proxy's own thread.
    """

    def __init__(self, port: int, target_port: int, on_request: Callable[[int], None] | None = None) -> None:
        self.port = port
        self._target_port, self._on_request = target_port, on_request
        self._network = Network.WHOLE
        self._disturbed = 0
        self._over = False
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._whole.set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"tcp-proxy-{port}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._connect, "127.0.0.1", self.port, limit=CHUNK_BYTES)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def network(self) -> Network:
        """How the network is."""
        return self._network

    @property
    def disturbed(self) -> int:
        """How many connections and stretches of bytes were ended, kept back, slowed or refused so far."""
        return self._disturbed

    def set_network(self, network: Network) -> None:
        """From here on it is so. For any thread but the proxy's own."""
        asyncio.run_coroutine_threadsafe(self._turn(network), self._loop).result()

    def cut_from_within(self) -> None:
        """Cut it; for `on_request`."""
        self._turn_now(Network.CUT)

    def stop_from_within(self) -> None:
        """Let nothing pass; for `on_request`, whose request is the last that does."""
        self._turn_now(Network.HOLE)

    async def _turn(self, network: Network) -> None:
        self._turn_now(network)

    def _turn_now(self, network: Network) -> None:
        if self._over:  # a request on its way is looked at still, and must not stop what is to end
            return
        self._network = network
        if network is Network.HOLE:
            self._whole.clear()
        else:
            self._whole.set()
        if network is Network.CUT:
            self._disturbed += len(self._ends)
            for end in self._ends:
                end.transport.abort()

    async def _end(self) -> None:
        self._turn_now(Network.CUT)
        self._over = True
        self._server.close()
        # Whoever passes bytes finds that the connection is gone.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    async def _connect(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self._ends.add(to_client)
        self._disturbed += self._network is not Network.WHOLE
        to_broker: asyncio.StreamWriter | None = None
        try:
            await self._whole.wait()
            if self._network is not Network.CUT:
                from_broker, to_broker = await asyncio.open_connection("127.0.0.1", self._target_port)
                self._ends.add(to_broker)
                requests = _Requests(self._on_request) if self._on_request is not None else None
                both = (self._pass(from_client, to_broker, requests), self._pass(from_broker, to_client, None))
                await asyncio.gather(*both)
        except OSError:  # one end is gone, and so is the other in a moment
            pass
        finally:
            for end in (to_client, to_broker):
                if end is not None:
                    self._ends.discard(end)
                    end.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, requests: _Requests | None
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            self._disturbed += self._network is not Network.WHOLE
            await self._whole.wait()
            if self._network is Network.SLOW:
                await asyncio.sleep(SLOW_SECONDS)
            if requests is not None:
                requests.feed(chunk)
            if self._network is Network.CUT:
                break
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError


class _Requests:
    """Finds the API keys in a connection's bytes: each request is its size, then its key, then the rest."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._rest = bytearray()
        self._skip_bytes = 0

    def feed(self, chunk: bytes) -> None:
        self._rest += chunk
        while True:
            skipped = min(self._skip_bytes, len(self._rest))
            del self._rest[:skipped]
            self._skip_bytes -= skipped
            if self._skip_bytes or len(self._rest) < SIZE_BYTES + API_KEY_BYTES:
                return
            self._skip_bytes = SIZE_BYTES + int.from_bytes(self._rest[:SIZE_BYTES], "big")
            self._tell(int.from_bytes(self._rest[SIZE_BYTES : SIZE_BYTES + API_KEY_BYTES], "big"))
