//! A web server of the standard library and this crate: a thread for each connection, keep-alive and pipelining, bodies of any
//! framing. It answers with what it was asked.
//!
//! `cargo run -p covet-native --example server -- 127.0.0.1:8080`, then `curl -d hello http://127.0.0.1:8080/path?query`.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::{env, thread};

use covet_native::{Config, Received, Receiver};

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("http://{}", listener.local_addr()?);
    listen(&listener)
}

pub(crate) fn listen(listener: &TcpListener) -> io::Result<()> {
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            if let Err(error) = serve(stream) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut receiver = Receiver::new(&Config::DEFAULT);
    let mut bytes = vec![0; 16 * 1024];
    loop {
        loop {
            match receiver.next() {
                Ok(Some(received)) => {
                    let keep_alive = received.request.head().keep_alive();
                    let body = if received.request.head().method() == "HEAD" {
                        String::new()
                    } else {
                        describe(&received)
                    };
                    answer(&mut stream, 200, &body, keep_alive)?;
                    if !keep_alive {
                        return Ok(());
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    return answer(&mut stream, error.status(), &format!("{error}\n"), false);
                }
            }
        }
        if receiver
            .unfinished()
            .is_some_and(|head| head.expects_continue())
        {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        match stream.read(&mut bytes)? {
            0 => return Ok(()),
            count => receiver.feed(&bytes[..count]),
        }
    }
}

fn describe(received: &Received) -> String {
    let head = received.request.head();
    let mut text = format!("{} {}\n", head.method(), head.target().escape_ascii());
    for header in head.headers() {
        text += &format!("{header:?}\n");
    }
    text + &format!("{} bytes: {:?}\n", received.body.len(), received.body)
}

fn answer(stream: &mut TcpStream, status: u16, body: &str, keep_alive: bool) -> io::Result<()> {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} \r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes())
}
