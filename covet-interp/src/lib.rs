//! CPython interpreters from Rust.
