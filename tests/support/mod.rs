//! What the tests are written with: elbow as a process, scripted receivers, certificates, logs with numbered lines.

pub(crate) mod elbow;
pub(crate) mod guests;
pub(crate) mod logs;
pub(crate) mod moto;
pub(crate) mod receiver;
pub(crate) mod s3;
pub(crate) mod tls;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Waits until something is so, and fails the test if it is not within half a minute.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came to be: {what}");
        #[allow(clippy::disallowed_methods, reason = "tests have threads of their own")]
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The answer of an HTTP server, with its head.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: elbow\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
