"""A small HTTP server: asyncio reads and writes, the workers of a pool compute.

    python server.py [PORT]             curl 'localhost:8000/primes?below=1000000'

The requests of a connection are answered in order; they may be pipelined. A request goes to its worker as it is, without a copy,
and comes back as the bytes of the response.
"""

import asyncio
import signal
import sys

from covet_py import HTTPError, NativeRequest, NativeResponse, PoolExecutor, RequestParser


def answer(request: NativeRequest) -> bytes:
    """Runs in a worker."""
    if request.path == "/primes":
        below = request.query_value("below", "1000")
        if not below.isdecimal() or len(below) > 7:
            response = NativeResponse(400, {"Content-Type": "text/plain"}, "below: expected at most seven digits\n")
        else:
            response = NativeResponse(200, {"Content-Type": "text/plain"}, f"{primes(int(below))}\n")
    elif request.path == "/echo" and request.method in ("POST", "PUT"):
        kind = request.header("content-type", "application/octet-stream")
        response = NativeResponse(200, {"Content-Type": kind}, memoryview(request))
    else:
        response = NativeResponse(404, {"Content-Type": "text/plain"}, "not found\n")
    response.answering(request.method, request.version)
    if not request.keep_alive:
        response.add_header("Connection", "close")
    return response.to_bytes()


def primes(below: int) -> int:
    """How many primes there are below a number: something that takes its time."""
    sieve = bytearray([1]) * below
    sieve[:2] = bytes(min(below, 2))
    for number in range(2, int(below**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, below, number)))
    return sum(sieve)


class Connection(asyncio.Protocol):
    def __init__(self, pool: PoolExecutor) -> None:
        self.pool = pool
        self.parser = RequestParser(max_body=10 << 20)
        self.requests: asyncio.Queue[NativeRequest | HTTPError | None] = asyncio.Queue()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.answering = asyncio.create_task(self.answer_all())

    def data_received(self, data: bytes) -> None:
        try:
            requests = self.parser.feed(data)
        except HTTPError as error:
            for request in error.requests:
                self.requests.put_nowait(request)
            self.requests.put_nowait(error)
            return
        for request in requests:
            self.requests.put_nowait(request)
        if self.parser.expects_continue and self.requests.empty():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.requests.qsize() > 100:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self.requests.put_nowait(None)
        return True  # what was asked before is answered still

    def connection_lost(self, error: Exception | None) -> None:
        self.answering.cancel()

    async def answer_all(self) -> None:
        keep_alive = True
        while keep_alive:
            request = await self.requests.get()
            if request is None:
                break
            if isinstance(request, HTTPError):
                response = NativeResponse(request.status, {"Connection": "close"}, f"{request}\n")
                self.transport.write(response.to_bytes())
                break
            try:
                self.transport.write(await self.pool.run(answer, request))
            except Exception as error:
                # Whoever asked is not left waiting.
                response = NativeResponse(500, {"Connection": "close"}, "internal error\n")
                response.answering(request.method, request.version)
                self.transport.write(response.to_bytes())
                print(f"{request!r}: {error!r}", file=sys.stderr, flush=True)
                break
            keep_alive = request.keep_alive
            self.transport.resume_reading()
        self.transport.close()


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with PoolExecutor() as pool:
        server = await loop.create_server(lambda: Connection(pool), "127.0.0.1", port)
        print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
        await stop.wait()
        server.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 8000))
