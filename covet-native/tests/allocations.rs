//! How often memory is asked for, as the documentation says.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use covet_native::{Buffer, Config, Request, RequestRef, ResponseBuilder, Slot};

struct Counting;

thread_local! {
    /// Those of this thread: the harness has its own.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations this takes, and what it comes to.
fn count<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.get();
    let value = black_box(work());
    (ALLOCATIONS.get() - before, value)
}

#[test]
fn allocations_are_as_few_as_documented() {
    let bytes = b"GET /path?query HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nCookie: b=c\r\n\r\n";

    let (borrowed, ()) = count(|| {
        let mut slots = Slot::table::<16>();
        let request = RequestRef::parse(bytes, &Config::DEFAULT, &mut slots)
            .unwrap()
            .unwrap();
        assert_eq!(request.headers().get("cookie"), Some(&b"b=c"[..]));
    });
    assert_eq!(borrowed, 0);

    let (copied, buffer) = count(|| Buffer::from(&bytes[..]));
    assert_eq!(copied, 1);
    let vector = bytes.to_vec();
    let (moved, _) = count(|| Buffer::from(vector));
    assert_eq!(moved, 1);
    let (views, _) = count(|| (buffer.clone(), buffer.slice(4..), Buffer::from_static(b"a")));
    assert_eq!(views, 0);

    let (owned, request) = count(|| Request::parse(&buffer, &Config::DEFAULT).unwrap().unwrap());
    assert_eq!(owned, 1);
    let more =
        Buffer::from_static(b"GET / HTTP/1.1\r\nHost: a\r\nB: b\r\nC: c\r\nD: d\r\nE: e\r\n\r\n");
    let (of_more, _) = count(|| Request::parse(&more, &Config::DEFAULT).unwrap().unwrap());
    assert_eq!(of_more, 2);
    let (read, _) = count(|| {
        request
            .clone()
            .head()
            .headers()
            .get("cookie")
            .map(<[u8]>::len)
    });
    assert_eq!(read, 0);

    let mut builder = ResponseBuilder::new(200).unwrap();
    builder.header("X-Name", "value").unwrap();
    let (answer, _) = count(|| builder.to_bytes(b"hello").unwrap());
    assert_eq!(answer, 1);
}
