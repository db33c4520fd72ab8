"""Databases."""

from recipes.registry import recipe


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
