"""Cryptography, text, and the rest."""

from recipes.registry import recipe


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
