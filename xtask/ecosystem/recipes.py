"""What each package is asked to do: something real with its compiled code, in a body of its own.

A recipe takes nothing, needs no server and no network, and returns plain values that are the same each time. `cpu=True` marks
those that compute all the while, so that two interpreters should do twice as much as one.
"""

from typing import Callable, NamedTuple


class Recipe(NamedTuple):
    """How a package is tried."""

    run: Callable[[], object]
    modules: tuple[str, ...]
    """What is imported for it."""
    cpu: bool
    needs: tuple[str, ...]
    """What is installed for it."""


RECIPES: dict[str, Recipe] = {}
"""By the name of the distribution on PyPI."""


def recipe(distribution, *modules, cpu=False, beside=()):
    """Enters the function under it into `RECIPES`. The module has the name of the distribution unless it is given; what the body
    uses `beside` it is installed too.
    """

    def enter(run):
        RECIPES[distribution] = Recipe(run, modules or (distribution,), cpu, (distribution, *beside))
        return run

    return enter


# Numbers, tables, pictures.


@recipe("numpy", cpu=True)
def use_numpy():
    import numpy as np

    rng = np.random.default_rng(7)
    a = rng.standard_normal((60, 60))
    values = np.linalg.svd(a, compute_uv=False)
    spectrum = np.abs(np.fft.rfft(a.ravel()))
    table = np.zeros(5, dtype=[("name", "U4"), ("size", "f8")])
    table["name"] = ["b", "a", "d", "c", "e"]
    with np.errstate(divide="ignore"):
        infinite = bool(np.isinf(np.float64(1) / np.zeros(1))[0])
    return values[:3].tolist(), float(spectrum.max()), np.sort(table, order="name")["name"].tolist(), infinite


@recipe("scipy", "scipy.linalg", "scipy.optimize", "scipy.sparse.linalg", "scipy.integrate", "scipy.special", cpu=True)
def use_scipy():
    import numpy as np
    from scipy import integrate, linalg, optimize, sparse, special

    # LAPACK, a callback from Fortran or C into Python, a sparse solver.
    a = np.arange(1.0, 101.0).reshape(10, 10) + 20 * np.eye(10)
    factors, pivots = linalg.lu_factor(a)
    lowest = optimize.minimize(optimize.rosen, [1.3, 0.7, 0.8], method="L-BFGS-B").x
    area, _ = integrate.quad(lambda x: float(special.jv(2, x)), 0, 4)
    solved = sparse.linalg.spsolve(sparse.csc_matrix(a), np.ones(10))
    return factors[0].tolist(), pivots.tolist(), lowest.tolist(), area, solved.tolist()


@recipe("scikit-learn", "sklearn.ensemble", "sklearn.linear_model", "sklearn.cluster", cpu=True)
def use_scikit_learn():
    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    points = rng.standard_normal((120, 5))
    labels = (points[:, 0] + points[:, 1] > 0).astype(int)
    forest = RandomForestClassifier(5, random_state=0).fit(points, labels)
    line = LogisticRegression().fit(points, labels)
    means = KMeans(3, n_init=1, random_state=0).fit(points)
    return forest.predict(points).tolist(), line.coef_.round(9).tolist(), sorted(means.labels_.tolist())


@recipe("pandas", cpu=True)
def use_pandas():
    import io

    import pandas as pd

    text = "when,kind,size\n" + "".join(
        f"2024-01-{i % 28 + 1:02},{'abc'[i % 3]},{i * 7 % 101}\n" for i in range(300)
    )
    frame = pd.read_csv(io.StringIO(text), parse_dates=["when"])
    sums = frame.groupby("kind")["size"].agg(["sum", "mean", "max"])
    weeks = frame.set_index("when")["size"].resample("7D").sum()
    both = frame.merge(sums, left_on="kind", right_index=True)
    return sums.to_dict(), weeks.tolist(), both["mean"].sum(), frame.to_json(orient="records")[:200]


@recipe("pyarrow", "pyarrow", "pyarrow.compute", "pyarrow.parquet", cpu=True)
def use_pyarrow():
    import io

    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pa.table({"kind": ["a", "b", None] * 200, "size": list(range(600))})
    file = io.BytesIO()
    pq.write_table(table, file, compression="snappy")
    file.seek(0)
    back = pq.read_table(file)
    sums = back.group_by("kind", use_threads=False).aggregate([("size", "sum")]).sort_by("size_sum")
    return back.equals(table), sums.to_pylist(), pc.sum(pc.multiply(back["size"], 2)).as_py()


@recipe("polars", cpu=True)
def use_polars():
    import io

    import polars as pl

    frame = pl.DataFrame({"kind": ["a", "b", "c"] * 200, "size": list(range(600))})
    sums = frame.lazy().group_by("kind").agg(pl.col("size").sum(), pl.col("size").mean().alias("mean")).sort("kind")
    rolled = frame.select(pl.col("size").rolling_mean(7).drop_nulls().sum())
    text = frame.select(pl.col("size").map_elements(lambda size: size + 1, return_dtype=pl.Int64)).write_csv()
    return sums.collect().to_dicts(), rolled.item(), pl.read_csv(io.StringIO(text)).height


@recipe("h5py")
def use_h5py():
    import os
    import tempfile

    import h5py
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.h5")
        with h5py.File(path, "w") as file:
            data = file.create_dataset("a/b", data=np.arange(5000).reshape(50, 100), compression="gzip", chunks=(10, 100))
            data.attrs["unit"] = "m"
        with h5py.File(path) as file:
            return int(file["a/b"][:, 3].sum()), file["a/b"].attrs["unit"], sorted(file)


@recipe("netCDF4")
def use_netcdf4():
    import os
    import tempfile

    import netCDF4
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.nc")
        with netCDF4.Dataset(path, "w") as file:
            file.createDimension("x", 100)
            variable = file.createVariable("v", "f8", ("x",), zlib=True)
            variable[:] = np.arange(100)
            variable.unit = "m"
        with netCDF4.Dataset(path) as file:
            return float(file["v"][:].sum()), file["v"].unit


@recipe("Pillow", "PIL.Image", "PIL.ImageDraw", "PIL.ImageFilter", cpu=True)
def use_pillow():
    import io

    from PIL import Image, ImageDraw, ImageFilter

    image = Image.new("RGB", (96, 96), "navy")
    ImageDraw.Draw(image).ellipse((10, 20, 80, 70), fill="orange")
    small = image.filter(ImageFilter.GaussianBlur(2)).resize((40, 40))
    file = io.BytesIO()
    small.save(file, "JPEG")
    png = io.BytesIO()
    small.save(png, "PNG")
    return Image.open(file).convert("L").histogram(), Image.open(png).getpixel((20, 20))


@recipe("opencv-python-headless", "cv2", cpu=True)
def use_opencv():
    import cv2
    import numpy as np

    image = np.zeros((120, 120, 3), np.uint8)
    cv2.circle(image, (60, 60), 30, (0, 200, 255), -1)
    gray = cv2.cvtColor(cv2.GaussianBlur(image, (7, 7), 0), cv2.COLOR_BGR2GRAY)
    contours, _ = cv2.findContours((gray > 90).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    _, png = cv2.imencode(".png", image)
    try:
        cv2.cvtColor(gray, cv2.COLOR_BGR2GRAY)
        error = None
    except cv2.error as wrong:
        error = wrong.code
    return int(gray.sum()), cv2.contourArea(contours[0]), bool((cv2.imdecode(png, 1) == image).all()), error


@recipe("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg", cpu=True)
def use_matplotlib():
    import hashlib

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3, 2))
    axes = figure.add_subplot()
    axes.plot([1, 3, 2, 4], label="line")
    axes.fill_between(range(4), [0, 1, 1, 2])
    axes.set_title("$x^2$")
    axes.legend()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return hashlib.sha256(canvas.buffer_rgba()).hexdigest()


@recipe("shapely", cpu=True)
def use_shapely():
    import shapely
    from shapely import wkt

    points = [shapely.Point(i % 7, i // 7).buffer(0.8) for i in range(30)]
    union = shapely.union_all(points)
    tree = shapely.STRtree(points)
    try:
        wkt.loads("POLYGON ((0 0, 1")
        error = None
    except shapely.errors.GEOSException as wrong:
        error = type(wrong).__name__
    return union.area, len(tree.query(shapely.box(0, 0, 2, 2))), wkt.loads("POINT (1 2)").x, error


@recipe("numexpr", cpu=True)
def use_numexpr():
    import numexpr
    import numpy as np

    a, b = np.arange(20000.0), np.arange(20000.0)[::-1].copy()
    return float(numexpr.evaluate("2 * a + 3 * b - a * b / 7").sum()), int(numexpr.evaluate("(a > b) & (a < 9e3)").sum())


@recipe("llvmlite", "llvmlite.binding")
def use_llvmlite():
    import ctypes

    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly("define i64 @f(i64 %x) {\n  %y = add i64 %x, 1\n  ret i64 %y\n}")
    engine = llvm.create_mcjit_compiler(module, llvm.Target.from_default_triple().create_target_machine())
    engine.finalize_object()
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(engine.get_function_address("f"))(41)


# Validation, parsers, writers.


@recipe("pydantic", cpu=True)
def use_pydantic():
    from datetime import datetime
    from decimal import Decimal

    from pydantic import BaseModel, Field, ValidationError, field_validator

    class Line(BaseModel):
        name: str = Field(min_length=1)
        price: Decimal

    class Order(BaseModel):
        when: datetime
        lines: list[Line]

        @field_validator("lines")
        @classmethod
        def not_empty(cls, lines):
            if not lines:
                raise ValueError("no lines")
            return lines

    good = Order.model_validate_json('{"when": "2024-05-06T07:08:09Z", "lines": [{"name": "a", "price": "1.50"}]}')
    try:
        Order.model_validate({"when": "soon", "lines": [{"name": "", "price": "x"}]})
        errors = None
    except ValidationError as error:
        errors = [(found["loc"], found["type"]) for found in error.errors()]
    return good.model_dump_json(), errors, sorted(Order.model_json_schema()["$defs"])


@recipe("fastapi", cpu=True, beside=("httpx",))
def use_fastapi():
    import asyncio

    import httpx
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Item(BaseModel):
        name: str
        size: int

    app = FastAPI()

    @app.post("/items/{number}")
    async def put(number: int, item: Item) -> dict:
        return {"number": number, "name": item.name * item.size}

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://here") as client:
            good = await client.post("/items/7", json={"name": "ab", "size": 2})
            bad = await client.post("/items/x", json={"name": "ab"})
            return good.json(), bad.status_code, len(bad.json()["detail"])

    return asyncio.run(ask())


@recipe("starlette", "starlette.applications", "starlette.responses", "starlette.routing", cpu=True, beside=("httpx",))
def use_starlette():
    import asyncio

    import httpx
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def hello(request):
        return JSONResponse({"path": request.url.path, "name": request.query_params["name"]})

    app = Starlette(routes=[Route("/hello", hello)])

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://here") as client:
            return (await client.get("/hello", params={"name": "x"})).json(), (await client.get("/no")).status_code

    return asyncio.run(ask())


@recipe("orjson", cpu=True)
def use_orjson():
    import datetime
    import uuid

    import orjson

    value = {"when": datetime.datetime(2024, 5, 6, 7, 8), "id": uuid.UUID(int=5), "list": [1.5, None, "ü" * 100] * 20}
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)
    try:
        orjson.loads("{")
        error = None
    except orjson.JSONDecodeError as wrong:
        error = str(wrong)
    return text, orjson.loads(text), error


@recipe("msgspec", "msgspec.json", "msgspec.msgpack", cpu=True)
def use_msgspec():
    import msgspec

    class Point(msgspec.Struct):
        x: int
        tags: list[str] = []

    text = msgspec.json.encode([Point(i, ["a"] * 3) for i in range(50)])
    points = msgspec.json.decode(text, type=list[Point])
    packed = msgspec.msgpack.encode(points)
    try:
        msgspec.json.decode(b'{"x": "no"}', type=Point)
        error = None
    except msgspec.ValidationError as wrong:
        error = str(wrong)
    return sum(point.x for point in points), packed, error


@recipe("ujson", cpu=True)
def use_ujson():
    import ujson

    value = {"a": [1, 2.5, None, True, "ü" * 50] * 30}
    try:
        ujson.loads("[1,")
        error = None
    except ujson.JSONDecodeError as wrong:
        error = str(wrong)
    return ujson.loads(ujson.dumps(value)) == value, ujson.dumps(value, indent=1)[:50], error


@recipe("python-rapidjson", "rapidjson", cpu=True)
def use_rapidjson():
    import datetime

    import rapidjson

    value = {"when": datetime.datetime(2024, 5, 6), "a": [1, 2.5, None, "x" * 50] * 30}
    text = rapidjson.dumps(value, datetime_mode=rapidjson.DM_ISO8601, sort_keys=True)
    check = rapidjson.Validator('{"type": "object", "required": ["b"]}')
    try:
        check('{"a": 1}')
        error = None
    except rapidjson.ValidationError as wrong:
        error = wrong.args[0]
    return text, rapidjson.loads(text, datetime_mode=rapidjson.DM_ISO8601)["when"].year, error


@recipe("lxml", "lxml.etree", "lxml.html", cpu=True)
def use_lxml():
    from lxml import etree, html

    text = "<r>" + "".join(f"<e n='{i}'>t{i}</e>" for i in range(100)) + "</r>"
    tree = etree.fromstring(text)
    sheet = etree.XSLT(
        etree.fromstring(
            '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
            '<xsl:template match="/"><n><xsl:value-of select="count(//e)"/></n></xsl:template></xsl:stylesheet>'
        )
    )
    try:
        etree.fromstring("<a><b></a>")
        error = None
    except etree.XMLSyntaxError as wrong:
        error = wrong.code
    links = html.fromstring("<p><a href=x>1<a href=y>2").xpath("//a/@href")
    return tree.xpath("sum(//e/@n)"), str(sheet(tree)), links, error


@recipe("regex", cpu=True)
def use_regex():
    import regex

    text = "größer 12,5 kg; kleiner 7 kg; " * 20
    found = regex.findall(r"(?<word>\p{L}+)\s+(?<number>\d+(?:,\d+)?)", text)
    fuzzy = regex.search(r"(?:kleinar){e<=1}", text)
    return len(found), found[0], fuzzy.span(), regex.sub(r"\b(\p{Lu}|\p{Ll})", lambda m: m[1].upper(), text)[:40]


@recipe("pyyaml", "yaml", cpu=True)
def use_pyyaml():
    import yaml

    text = "".join(f"- name: n{i}\n  tags: [a, b, {i}]\n" for i in range(40))
    value = yaml.load(text, yaml.CSafeLoader)
    try:
        yaml.load("a: [1", yaml.CSafeLoader)
        error = None
    except yaml.YAMLError as wrong:
        error = type(wrong).__name__
    return value, yaml.dump(value, Dumper=yaml.CSafeDumper), error


# Networks.


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


# Databases.


@recipe("sqlalchemy", "sqlalchemy", "sqlalchemy.orm", cpu=True)
def use_sqlalchemy():
    from sqlalchemy import ForeignKey, create_engine, func, select
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

    class Base(DeclarativeBase):
        pass

    class Author(Base):
        __tablename__ = "author"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        books: Mapped[list["Book"]] = relationship(back_populates="author")

    class Book(Base):
        __tablename__ = "book"
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str]
        author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
        author: Mapped[Author] = relationship(back_populates="books")

    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Author(name=n, books=[Book(title=f"{n}{i}") for i in range(3)]) for n in "ab")
        session.commit()
        counts = session.execute(
            select(Author.name, func.count(Book.id)).join(Book).group_by(Author.name).order_by(Author.name)
        ).all()
        titles = [book.title for book in session.scalars(select(Author).where(Author.name == "b")).one().books]
    engine.dispose()
    return [tuple(row) for row in counts], titles


@recipe("psycopg2-binary", "psycopg2")
def use_psycopg2():
    import datetime

    import psycopg2
    from psycopg2.extensions import adapt, make_dsn, parse_dsn

    try:
        psycopg2.connect("host=127.0.0.1 port=1 dbname=none connect_timeout=3")
        error = None
    except psycopg2.OperationalError as wrong:
        error = "refused" in str(wrong)
    when = adapt(datetime.datetime(2024, 5, 6)).getquoted()
    date = psycopg2.extensions.PYDATE("2024-05-06", None)
    return when, date.isoformat(), parse_dsn(make_dsn(dbname="a b", user="c")), error


@recipe("asyncpg")
def use_asyncpg():
    import asyncio

    import asyncpg
    from asyncpg.pgproto.pgproto import UUID

    async def handshake(reader, writer):
        # What a server says to the first message: an error, as it is on the wire.
        size = int.from_bytes(await reader.readexactly(4))
        await reader.readexactly(size - 4)
        fields = b"SFATAL\0C28P01\0Mwrong password\0\0"
        writer.write(b"E" + (len(fields) + 4).to_bytes(4) + fields)
        await writer.drain()
        writer.close()

    async def ask():
        async with await asyncio.start_server(handshake, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            try:
                await asyncpg.connect(f"postgres://u:p@127.0.0.1:{port}/d", ssl=False, timeout=10)
            except asyncpg.InvalidPasswordError as wrong:
                return wrong.sqlstate, str(wrong)

    return asyncio.run(ask()), str(UUID("12345678123456781234567812345678"))


@recipe("redis")
def use_redis():
    import socket
    import threading

    import redis

    kept = {}

    def serve(listener):
        # The commands that are asked for here, in the protocol of Redis.
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            while count := lines.readline():
                words = []
                for _ in range(int(count[1:])):
                    words.append(lines.read(int(lines.readline()[1:]) + 2)[:-2])
                if words[0] == b"SET":
                    kept[words[1]] = words[2]
                    connection.sendall(b"+OK\r\n")
                elif words[0] == b"GET":
                    connection.sendall(b"$%d\r\n%s\r\n" % (len(kept[words[1]]), kept[words[1]]))
                elif words[0] == b"CLIENT":
                    connection.sendall(b"+OK\r\n")
                else:
                    connection.sendall(b"-ERR unknown command\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        client = redis.Redis(port=listener.getsockname()[1], protocol=2)
        stored = client.set("k", "v" * 100), client.get("k")
        try:
            client.incr("k")
            error = None
        except redis.ResponseError as wrong:
            error = str(wrong)
        client.close()
        thread.join()
    return stored, error


@recipe("hiredis", cpu=True)
def use_hiredis():
    import hiredis

    reader = hiredis.Reader()
    reader.feed(b"*3\r\n$5\r\nhello\r\n:42\r\n*1\r\n+OK\r\n-ERR no\r\n")
    value, error = reader.gets(), reader.gets()
    return value, type(error).__name__, str(error), hiredis.pack_command(("SET", "k", 1, b"x" * 50))


# Cryptography, text, and the rest.


@recipe("cryptography", "cryptography.fernet", "cryptography.x509", "cryptography.hazmat.primitives.asymmetric.ec", cpu=True)
def use_cryptography():
    from cryptography.exceptions import InvalidSignature
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = ec.derive_private_key(12345, ec.SECP256R1())
    signature = key.sign(b"text", ec.ECDSA(hashes.SHA256()))
    key.public_key().verify(signature, b"text", ec.ECDSA(hashes.SHA256()))
    try:
        key.public_key().verify(signature, b"other", ec.ECDSA(hashes.SHA256()))
        error = None
    except InvalidSignature as wrong:
        error = type(wrong).__name__
    token = Fernet(b"A" * 43 + b"=").encrypt(b"secret")
    sealed = AESGCM(b"k" * 16).encrypt(b"n" * 12, b"data" * 100, None)
    return Fernet(b"A" * 43 + b"=").decrypt(token), sealed, error


@recipe("bcrypt", cpu=True)
def use_bcrypt():
    import bcrypt

    hashed = bcrypt.hashpw(b"secret", b"$2b$04$abcdefghijklmnopqrstuu")
    return hashed, bcrypt.checkpw(b"secret", hashed), bcrypt.checkpw(b"other", hashed)


@recipe("blake3", cpu=True)
def use_blake3():
    from blake3 import blake3

    hasher = blake3(b"a" * 100_000)
    hasher.update(b"b")
    return hasher.hexdigest(), blake3(b"x", key=b"k" * 32).hexdigest()


@recipe("tiktoken", cpu=True)
def use_tiktoken():
    import tiktoken

    ranks = {bytes([byte]): byte for byte in range(256)} | {b"th": 256, b"the": 257, b" the": 258}
    encoding = tiktoken.Encoding("small", pat_str=r"\s?\w+|\W", mergeable_ranks=ranks, special_tokens={"<end>": 300})
    tokens = encoding.encode("the weather on the hill <end>" * 20, allowed_special="all")
    return tokens, encoding.decode(tokens)


@recipe("tokenizers", cpu=True)
def use_tokenizers():
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.pre_tokenizers import Whitespace

    vocabulary = {word: i for i, word in enumerate(["[UNK]", "the", "wea", "##ther", "hill"])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    encoded = tokenizer.encode("the weather on the hill " * 20)
    return encoded.tokens, tokenizer.decode(encoded.ids)


@recipe("jiter", cpu=True)
def use_jiter():
    import jiter

    text = b'{"a": [1, 2.5, null, "' + "ü".encode() * 100 + b'"], "b": 123456789012345678901234567890}'
    try:
        jiter.from_json(b"[1,")
        error = None
    except ValueError as wrong:
        error = str(wrong)
    return jiter.from_json(text), jiter.from_json(b'["a', partial_mode=True), error


@recipe("nh3", cpu=True)
def use_nh3():
    import nh3

    text = '<p onclick="x">a<script>b</script><a href="http://x" target="y">c</a></p>' * 10
    return nh3.clean(text), nh3.clean(text, tags={"p"}, attribute_filter=lambda *_: None), nh3.escape("<")


@recipe("rpds-py", "rpds", cpu=True)
def use_rpds():
    from rpds import HashTrieMap, HashTrieSet, List

    table = HashTrieMap({i: str(i) for i in range(100)})
    more = table.insert("k", "v").remove(5)
    try:
        more[5]
        error = None
    except KeyError as wrong:
        error = wrong.args
    return len(table), len(more), sorted(HashTrieSet(range(5)).remove(2)), list(List([1, 2]).push_front(0)), error


@recipe("watchfiles")
def use_watchfiles():
    import os
    import tempfile

    from watchfiles._rust_notify import RustNotify

    with tempfile.TemporaryDirectory() as folder, RustNotify([folder], False, False, 0, True, False) as notify:
        with open(os.path.join(folder, "file"), "w") as file:
            file.write("x")
        changes = notify.watch(20, 5, 5000, None)
        return sorted({os.path.basename(path) for _, path in changes})


@recipe("greenlet", cpu=True)
def use_greenlet():
    import greenlet

    def child(value):
        seen = []
        while value is not None:
            seen.append(value)
            value = greenlet.getcurrent().parent.switch(len(seen))
        raise LookupError(seen)

    other = greenlet.greenlet(child)
    answers = [other.switch(i) for i in range(100)]
    try:
        other.switch(None)
        error = None
    except LookupError as wrong:
        error = len(wrong.args[0])
    return answers, error, other.dead


@recipe("zstandard", cpu=True)
def use_zstandard():
    import zstandard

    data = b"some text that repeats. " * 500
    packed = zstandard.ZstdCompressor(level=5).compress(data)
    dictionary = zstandard.train_dictionary(512, [data[i : i + 60] + bytes([i % 251]) for i in range(400)])
    try:
        zstandard.ZstdDecompressor().decompress(b"no")
        error = None
    except zstandard.ZstdError as wrong:
        error = str(wrong)
    return packed, zstandard.ZstdDecompressor().decompress(packed) == data, len(dictionary), error


@recipe("lz4", "lz4.frame", "lz4.block", cpu=True)
def use_lz4():
    import lz4.block
    import lz4.frame

    data = b"some text that repeats. " * 500
    packed = lz4.frame.compress(data)
    try:
        lz4.frame.decompress(b"no")
        error = None
    except RuntimeError as wrong:
        error = str(wrong)[:20]
    return packed, lz4.frame.decompress(packed) == data, lz4.block.decompress(lz4.block.compress(data)) == data, error


@recipe("psutil")
def use_psutil():
    import os

    import psutil

    me = psutil.Process()
    try:
        psutil.Process(2**31 - 1)
        error = None
    except psutil.NoSuchProcess as wrong:
        error = type(wrong).__name__
    return me.pid == os.getpid(), me.memory_info().rss > 0, psutil.cpu_count(), psutil.virtual_memory().total, error


@recipe("protobuf", "google.protobuf.struct_pb2", cpu=True)
def use_protobuf():
    from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, struct_pb2
    from google.protobuf.internal import api_implementation

    struct = struct_pb2.Struct()
    struct.update({"a": [1, 2.5, None], "b": {"c": "d" * 100}})
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    message = file.message_type.add(name="M")
    message.field.add(name="n", number=1, type=5, label=3)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.M"))(n=[1, 150, 3])
    text = struct.SerializeToString(deterministic=True)
    return text, json_format.MessageToDict(struct), made.SerializeToString(), api_implementation.Type()


@recipe("cffi", cpu=True)
def use_cffi():
    import cffi

    ffi = cffi.FFI()
    ffi.cdef("size_t strlen(const char *); struct point { int x; double y; };")
    library = ffi.dlopen(None)
    point = ffi.new("struct point *", {"x": 3, "y": 1.5})
    called = ffi.callback("int(int)", lambda x: x * 2)
    try:
        ffi.new("int *", "no")
        error = None
    except TypeError as wrong:
        error = str(wrong)
    return library.strlen(b"hello"), point.x + point.y, called(21), ffi.sizeof("struct point"), error
