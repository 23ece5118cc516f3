"""What an HTTP client does that nobody has told its limits.

Run with: python3 docs/python/http_client.py
"""

import asyncio
from http.client import HTTPConnection, ResponseNotReady
from time import monotonic
from urllib.request import Request, urlopen


class Server:
    """A server on loopback that counts connections, and keeps them for as long as its client does."""

    def __init__(self) -> None:
        self.connections = 0
        self.orders = 0
        self.gate = asyncio.Event()
        self.serving: set[asyncio.Task] = set()

    async def start(self) -> None:
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.server.close()
        await asyncio.wait(self.serving)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.serving.add(asyncio.current_task())
        try:
            await self.serve(reader, writer)
        except ConnectionError:
            pass  # the client has left
        finally:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            method, path, _ = line.decode().split()
            while await reader.readline() != b"\r\n":
                pass
            if method == "POST":
                await self.gate.wait()
                self.orders += 1
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
            for piece in range(10):
                writer.write(b"x")
                await writer.drain()
                if path == "/trickles":
                    await asyncio.sleep(0.06)


# ANCHOR: asyncio
def get(url: str) -> bytes:
    with urlopen(url, timeout=0.5) as reply:  # raises for 404 and 503
        return reply.read()


async def fetch(url: str, seconds: float) -> bytes:
    async with asyncio.timeout(seconds):
        return await asyncio.to_thread(get, url)
# ANCHOR_END: asyncio


# ANCHOR: connections
async def each_call_opens_a_connection(server: Server) -> None:
    for _ in range(3):
        assert await fetch(server.url("/lamp"), seconds=60) == b"x" * 10
    assert server.connections == 3
# ANCHOR_END: connections


# ANCHOR: trickle
def its_timeout_is_for_a_read_and_not_for_the_whole(server: Server) -> None:
    begun = monotonic()
    assert get(server.url("/trickles")) == b"x" * 10
    assert monotonic() - begun > 0.5  # its timeout, and nothing was raised
# ANCHOR_END: trickle


# ANCHOR: runs_on
def order(url: str) -> None:
    urlopen(Request(url, method="POST")).read()


async def what_has_timed_out_is_carried_out(server: Server) -> None:
    try:
        async with asyncio.timeout(0.01):
            await asyncio.to_thread(order, server.url("/orders/7"))
        raise AssertionError("there was no timeout")
    except TimeoutError:
        assert server.orders == 0
    server.gate.set()
    while server.orders == 0:  # the thread has not heard of the timeout
        await asyncio.sleep(0.001)
# ANCHOR_END: runs_on


# ANCHOR: unread
def a_body_that_was_not_read_is_in_the_way(server: Server) -> None:
    connection = HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/lamp")
    first = connection.getresponse()
    connection.request("GET", "/lamp")
    try:
        connection.getresponse()
        raise AssertionError("the connection was free")
    except ResponseNotReady:
        assert first.read() == b"x" * 10
    connection.close()
# ANCHOR_END: unread


async def main() -> None:
    server = Server()
    await server.start()
    await each_call_opens_a_connection(server)
    await asyncio.to_thread(its_timeout_is_for_a_read_and_not_for_the_whole, server)
    await asyncio.to_thread(a_body_that_was_not_read_is_in_the_way, server)
    await what_has_timed_out_is_carried_out(server)
    await server.stop()


asyncio.run(main())
