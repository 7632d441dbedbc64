# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy in front of a server that can be slow, silent or broken, on and off at will.

One per member of a replica set made with `proxied=True` (member.proxy); its address stands
in the set's configuration, so clients, other members and routers all go through it. It
runs in a thread of this process and ends with it. Settings may be changed from any thread
while connections are open and hold for what arrives from then on:

    proxy.latency_s = 0.05           each direction
    proxy.bytes_per_s = 1_000_000    each direction of each connection; None: no limit
    proxy.silence() / proxy.speak()  connections stay open and nothing passes, or again
    proxy.reset()                    every open connection is reset once
    proxy.refuse() / proxy.accept()  reset what is open and every new connection, or again
    proxy.restore()                  all of that off
"""

import asyncio
import contextlib
import socket
import struct
import threading
import time

_CHUNK = 64 * 1024
_QUEUE_CHUNKS_MAX = 256
_LINGER_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """See the top of this file. Thread-safe."""

    def __init__(self, listen_port, target_port):
        self.port = listen_port
        self.target_port = target_port
        self.latency_s = 0.0
        self.bytes_per_s = None
        self.connections_total = 0
        self._refusing = False
        self._loop = None
        self._thread = None
        self._open = set()
        self._speaking = None

    def start(self):
        if self._thread:
            return
        ready, trouble = threading.Event(), []
        self._thread = threading.Thread(
            target=self._run, args=(ready, trouble), name=f"proxy.{self.port}", daemon=True
        )
        self._thread.start()
        ready.wait()
        if trouble:
            self._thread = None
            raise trouble[0]

    def stop(self):
        if self._thread:
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()
            self._thread = None

    # ---- faults

    def silence(self):
        self._call(lambda: self._speaking.clear())

    def speak(self):
        self._call(lambda: self._speaking.set())

    def reset(self):
        self._call(self._reset_all)

    def refuse(self):
        self._refusing = True
        self.reset()

    def accept(self):
        self._refusing = False

    def restore(self):
        self.latency_s, self.bytes_per_s, self._refusing = 0.0, None, False
        self.speak()

    def open_connections(self):
        return len(self._open)

    # ---- in the proxy's thread

    def _call(self, function):
        """Run in the loop and wait until done."""
        done = threading.Event()

        def run():
            function()
            done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait()

    def _run(self, ready, trouble):
        self._loop = asyncio.new_event_loop()
        try:
            self._loop.run_until_complete(self._serve(ready))
        except OSError as error:
            trouble.append(error)
            ready.set()
        finally:
            self._loop.close()

    async def _serve(self, ready):
        self._speaking, self._stopped = asyncio.Event(), asyncio.Event()
        self._speaking.set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        ready.set()
        await self._stopped.wait()
        server.close()
        self._reset_all()
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _reset_all(self):
        for writer in list(self._open):
            _reset(writer)

    async def _connected(self, reader, writer):
        self.connections_total += 1
        writers = [writer]
        self._open.add(writer)
        try:
            if self._refusing:
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            writers.append(far_writer)
            self._open.add(far_writer)
            ways = [
                asyncio.ensure_future(self._pump(reader, far_writer)),
                asyncio.ensure_future(self._pump(far_reader, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # the server is down, or the proxy stops: so is this connection, and asyncio would log a cancelled one
        finally:
            for each in writers:
                self._open.discard(each)
                _reset(each)

    async def _pump(self, reader, writer):
        """One direction: chunks leave in order, each when it is due."""
        queue = asyncio.Queue(_QUEUE_CHUNKS_MAX)
        sending = asyncio.ensure_future(self._send(queue, writer))
        try:
            while True:
                data = await reader.read(_CHUNK)
                if sending.done():
                    return
                await queue.put((time.monotonic() + self.latency_s, data))
                if not data:
                    await sending
                    return
        except OSError:
            return
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await sending

    async def _send(self, queue, writer):
        while True:
            due, data = await queue.get()
            if not data:
                return
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            await self._speaking.wait()
            writer.write(data)
            await writer.drain()
            if self.bytes_per_s:
                await asyncio.sleep(len(data) / self.bytes_per_s)


def _reset(writer):
    """Close with RST, at once."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    writer.transport.abort()
