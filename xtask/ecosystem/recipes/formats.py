"""Validation, parsers, writers."""

from recipes.registry import recipe


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
