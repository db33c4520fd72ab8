//! The heads that are parsed: each in 64 variants, so that no branch predictor learns one of them by heart.

/// How many variants each payload has.
pub(crate) const VARIANTS: usize = 64;

/// One kind of head.
pub(crate) struct Payload {
    pub(crate) name: &'static str,
    pub(crate) variants: Vec<Vec<u8>>,
}

/// The kinds, from the smallest to the largest.
pub(crate) fn all() -> Vec<Payload> {
    vec![
        Payload::new("least GET", least),
        Payload::new("small GET", small),
        Payload::new("browser", browser),
        Payload::new("API POST", api),
        Payload::new("100 headers", many),
    ]
}

impl Payload {
    fn new(name: &'static str, make: fn(usize) -> String) -> Self {
        Self {
            name,
            variants: (0..VARIANTS).map(|i| make(i).into_bytes()).collect(),
        }
    }

    /// The name, with the mean length.
    pub(crate) fn title(&self) -> String {
        let bytes: usize = self.variants.iter().map(Vec::len).sum();
        format!("{}, {} B", self.name, bytes / VARIANTS)
    }
}

/// Text that is another one, and of another length, in each variant.
fn text(seed: usize, shortest: usize, longest: usize) -> String {
    let mut x = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as usize
    };
    let length = shortest + next() % (longest - shortest + 1);
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..length)
        .map(|_| letters[next() % letters.len()] as char)
        .collect()
}

/// What a request cannot do without.
fn least(i: usize) -> String {
    format!(
        "GET /{} HTTP/1.1\r\nHost: {}\r\n\r\n",
        text(i, 0, 9),
        text(i + 100, 4, 12),
    )
}

fn small(i: usize) -> String {
    format!(
        "GET /{} HTTP/1.1\r\nHost: {}.example.org\r\nUser-Agent: curl/8.{}.1\r\nAccept: */*\r\n\r\n",
        text(i, 2, 10),
        text(i + 100, 2, 7),
        i % 13,
    )
}

fn browser(i: usize) -> String {
    format!(
        "GET /{}/{}?q={}&page={i} HTTP/1.1\r\n\
         Host: www.{}.example\r\n\
         Connection: keep-alive\r\n\
         Cache-Control: max-age=0\r\n\
         sec-ch-ua: \"Chromium\";v=\"1{:02}\", \"Not_A Brand\";v=\"24\"\r\n\
         sec-ch-ua-mobile: ?0\r\n\
         sec-ch-ua-platform: \"Linux\"\r\n\
         Upgrade-Insecure-Requests: 1\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/1{:02}.0.0.0 Safari/537.36\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
         Sec-Fetch-Site: same-origin\r\n\
         Sec-Fetch-Mode: navigate\r\n\
         Referer: https://www.{}.example/{}\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\n\
         Accept-Language: en-GB,en;q=0.9,de;q=0.{}\r\n\
         Cookie: session={}; theme=dark; _ga=GA1.2.{}.{}\r\n\r\n",
        text(i, 4, 10),
        text(i + 100, 4, 12),
        text(i + 200, 3, 12),
        text(i + 300, 4, 9),
        i % 40,
        i % 40,
        text(i + 300, 4, 9),
        text(i + 400, 4, 30),
        i % 9,
        text(i + 500, 60, 80),
        text(i + 600, 9, 11),
        text(i + 700, 9, 11),
    )
}

fn api(i: usize) -> String {
    format!(
        "POST /v1/{}/{} HTTP/1.1\r\n\
         Host: api.{}.example\r\n\
         Authorization: Bearer {}\r\n\
         Content-Type: application/json\r\n\
         Content-Length: {}\r\n\
         Accept: application/json\r\n\
         Accept-Encoding: gzip, deflate\r\n\
         User-Agent: python-requests/2.32.{}\r\n\
         X-Request-Id: {}\r\n\
         X-Forwarded-For: 203.0.113.{i}\r\n\
         X-Forwarded-Proto: https\r\n\
         Connection: keep-alive\r\n\r\n",
        text(i, 4, 10),
        text(i + 100, 8, 20),
        text(i + 200, 3, 9),
        text(i + 300, 130, 190),
        100 + i * 7,
        i % 4,
        text(i + 400, 32, 36),
    )
}

fn many(i: usize) -> String {
    let mut head = format!("GET /{} HTTP/1.1\r\nHost: example.org\r\n", text(i, 4, 20));
    for field in 1..100 {
        let name = text(i * 100 + field, 2, 14);
        let value = text(i * 100 + field + 7, 5, 40);
        head += &format!("X-{name}: {value}\r\n");
    }
    head + "\r\n"
}
