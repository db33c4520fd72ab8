"""What is parsed: 64 variants of each payload, so that no branch predictor learns one text by heart."""

import json

VARIANTS = 64


def lines(first, *fields):
    return "\r\n".join([first, *fields, "", ""]).encode()


def small(n):
    return lines(f"GET /api/items/{n * 7919}?q=x{n} HTTP/1.1", "Host: example.org", "Accept: */*", f"User-Agent: probe/{n}")


def browser(n):
    return lines(
        f"GET /wiki/Article_{n}/section?search=term{n}&lang=en&page={n} HTTP/1.1",
        "Host: www.example.org",
        "Connection: keep-alive",
        'sec-ch-ua: "Chromium";v="126", "Google Chrome";v="126", "Not-A.Brand";v="8"',
        "sec-ch-ua-mobile: ?0",
        'sec-ch-ua-platform: "Linux"',
        "Upgrade-Insecure-Requests: 1",
        f"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.{n}.0 Safari/537.36",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Dest: document",
        f"Referer: https://www.example.org/wiki/Article_{n - 1}",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
        f"Cookie: session={n:032x}; theme=dark; _ga=GA1.2.{n}.1700000000",
    )


def many(n):
    return lines(
        f"GET /many/{n}?q=y{n} HTTP/1.1",
        "Host: example.org",
        f"User-Agent: many/{n}",
        *(f"X-Custom-Header-{i}: value-{i * n}" for i in range(98)),
    )


MEMBERS = {"user": "ada", "tags": ["a", "b", "c"], "price": 12.5, "items": [{"sku": f"S{i}", "count": i} for i in range(20)]}


def post(n):
    body = json.dumps({"id": n, **MEMBERS}).encode()
    head = lines(
        f"POST /api/orders?trace={n}&q=z HTTP/1.1",
        "Host: api.example.org",
        "User-Agent: client/1.0",
        "Accept: application/json",
        "Content-Type: application/json",
        f"Authorization: Bearer {n:064x}",
        f"X-Request-Id: {n:032x}",
        f"Content-Length: {len(body)}",
    )
    return head + body


ALL = {
    name: [make(n) for n in range(1, VARIANTS + 1)]
    for name, make in [("small GET", small), ("browser", browser), ("100 headers", many), ("POST of JSON", post)]
}
