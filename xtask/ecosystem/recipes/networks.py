"""Networks."""

from recipes.registry import recipe


@recipe("httptools", cpu=True)
def use_httptools():
    import httptools

    class Seen:
        def __init__(self):
            self.headers, self.body = [], b""

        def on_header(self, name, value):
            self.headers.append((name, value))

        def on_body(self, body):
            self.body += body

    seen = Seen()
    parser = httptools.HttpRequestParser(seen)
    parser.feed_data(b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")
    parser.feed_data(b"lo")
    try:
        httptools.HttpRequestParser(seen).feed_data(b"NO\r\n\r\n")
        error = None
    except httptools.HttpParserError as wrong:
        error = type(wrong).__name__
    return seen.headers, seen.body, parser.get_method(), httptools.parse_url(b"http://a:80/b?c#d").path, error


async def _echo_over_tcp():
    """A server and a client of asyncio on a port of this machine."""
    import asyncio

    async def serve(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
    return answer


@recipe("uvloop")
def use_uvloop():
    import uvloop

    return uvloop.run(_echo_over_tcp())


@recipe("aiohttp", "aiohttp.web")
def use_aiohttp():
    import asyncio

    from aiohttp import ClientSession, web

    async def hello(request):
        return web.json_response({"got": await request.text()})

    async def ask():
        app = web.Application()
        app.router.add_post("/", hello)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        async with ClientSession() as session, session.post(f"http://127.0.0.1:{port}/", data="x" * 100) as answer:
            found = answer.status, await answer.json()
        await runner.cleanup()
        return found

    return asyncio.run(ask())


@recipe("httpx")
def use_httpx():
    import httpx

    def answer(request):
        return httpx.Response(200, json={"path": request.url.path, "size": len(request.read())})

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        response = client.post("http://here/a%20b", files={"f": b"x" * 10}, headers={"a": "b"})
    return response.json()["path"], response.status_code, httpx.URL("http://a/ü?b=c").raw_path


@recipe("websockets", "websockets.asyncio.server", "websockets.asyncio.client", "websockets.speedups")
def use_websockets():
    import asyncio

    from websockets.asyncio.client import connect
    from websockets.asyncio.server import serve

    async def echo(connection):
        async for message in connection:
            await connection.send(message[::-1])

    async def ask():
        async with serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}") as connection:
                await connection.send("hello")
                text = await connection.recv()
                await connection.send(bytes(range(256)) * 10)
                return text, len(await connection.recv())

    return asyncio.run(ask())


@recipe("grpcio", "grpc")
def use_grpcio():
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    def answer(request, context):
        if not request:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "nothing")
        return request.upper()

    handlers = {"Call": grpc.unary_unary_rpc_method_handler(answer)}
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/Test/Call")
            good = call(b"hello", timeout=10)
            try:
                call(b"", timeout=10)
                error = None
            except grpc.RpcError as wrong:
                error = wrong.code().name
    finally:
        server.stop(None).wait()
    return good, error


@recipe("pyzmq", "zmq")
def use_pyzmq():
    import zmq

    with zmq.Context() as context, context.socket(zmq.REP) as server, context.socket(zmq.REQ) as client:
        port = server.bind_to_random_port("tcp://127.0.0.1")
        client.connect(f"tcp://127.0.0.1:{port}")
        client.send_json({"a": [1, 2]})
        server.send_multipart([server.recv(), b"x" * 1000])
        answer = client.recv_multipart()
        try:
            client.recv(zmq.NOBLOCK)
            error = None
        except zmq.ZMQError as wrong:
            error = wrong.errno == zmq.EFSM
    return answer[0], len(answer[1]), error
