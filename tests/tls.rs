//! TLS: whom elbow trusts, who it says that it is, and that nothing counts as delivered to the wrong one.

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::elbow::{Elbow, Run};
use crate::support::logs::{expect_all, lines, numbers};
use crate::support::tls::Authority;

/// Reads each connection to its end, then says farewell.
struct TlsReceiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
}

impl TlsReceiver {
    /// With a certificate for this name; `clients` signs those that clients must have.
    fn start(authority: &Authority, name: &str, clients: Option<&Authority>) -> Self {
        let config = authority.server(name, clients);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self { address: listener.local_addr().unwrap(), received: Arc::default() };
        let received = Arc::clone(&receiver.received);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, received) = (Arc::clone(&config), Arc::clone(&received));
                std::thread::spawn(move || read(stream.unwrap(), config, &received));
            }
        });
        receiver
    }

    fn lines(&self) -> Vec<u8> {
        self.received.lock().unwrap().clone()
    }
}

fn read(stream: TcpStream, config: Arc<ServerConfig>, received: &Mutex<Vec<u8>>) {
    let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let mut bytes = Vec::new();
    // A client that is refused, or that refuses us, is an error here; what came before it counts.
    let _ = tls.read_to_end(&mut bytes);
    received.lock().unwrap().extend(bytes);
    tls.conn.send_close_notify();
    let _ = tls.conn.complete_io(&mut tls.sock);
    // Closed with bytes unread, the kernel would send a reset, and that may overtake the alert that says why.
    let _ = tls.sock.shutdown(Shutdown::Write);
    let _ = std::io::copy(&mut tls.sock, &mut std::io::sink());
}

/// Forwards ten lines; `tls` are the settings below `[destinations.a.tls]`.
fn forward(receiver: &TlsReceiver, tls: &str, files: &[(&str, String)]) -> Run {
    let mut elbow = Elbow::forward().config(&format!(
        "[destinations.a]\nurl = \"tls://{}\"\nretry-for = \"300ms\"\n[destinations.a.tls]\n{tls}\n[mappings.aws.settings]\nstyle = \"flat\"",
        receiver.address
    ));
    for (name, text) in files {
        elbow = elbow.file(name, text);
    }
    elbow.input("a.log", lines(1000)).run()
}

#[track_caller]
fn expect_nothing_delivered(run: Run, reason: &str) {
    let run = run.expect_code(1);
    assert_eq!(run.events(), [1000, 0, 1000]);
    let told = run.summary["failures"]["sockets"].to_string();
    assert!(told.contains(reason), "{told}");
}

#[test]
fn events_arrive_over_tls() {
    let authority = Authority::new();
    let receiver = TlsReceiver::start(&authority, "127.0.0.1", None);
    let run = forward(&receiver, "ca = \"ca.pem\"", &[("ca.pem", authority.pem())]).expect_code(0);
    expect_all(numbers(&receiver.lines()), 1000);
    assert_eq!(run.text("/rung"), "closed");
    assert_eq!(run.events(), [1000, 1000, 0]);
}

#[test]
fn a_stranger_gets_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let receiver = TlsReceiver::start(&authority, "127.0.0.1", None);
    let run = forward(&receiver, "ca = \"ca.pem\"", &[("ca.pem", other.pem())]);
    expect_nothing_delivered(run, "the TLS handshake failed: invalid peer certificate");
    // Nor do the system's roots know it.
    expect_nothing_delivered(forward(&receiver, "", &[]), "the TLS handshake failed: invalid peer certificate");
    assert!(receiver.lines().is_empty());
}

#[test]
fn the_certificate_must_be_that_of_the_server_name() {
    let authority = Authority::new();
    let receiver = TlsReceiver::start(&authority, "logs.example.com", None);
    let ca = [("ca.pem", authority.pem())];
    expect_nothing_delivered(forward(&receiver, "ca = \"ca.pem\"", &ca), "not valid for name");
    let named = "ca = \"ca.pem\"\nserver-name = \"logs.example.com\"";
    forward(&receiver, named, &ca).expect_code(0);
    expect_all(numbers(&receiver.lines()), 1000);
}

#[test]
fn a_client_can_have_a_certificate_of_its_own() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let receiver = TlsReceiver::start(&authority, "127.0.0.1", Some(&clients));
    let (certificate, key) = clients.sign("elbow");
    let files = [("ca.pem", authority.pem()), ("elbow.pem", certificate.pem()), ("elbow.key", key.serialize_pem())];
    // In TLS 1.3 the refusal comes after a handshake that looked well, and after the events were written.
    expect_nothing_delivered(forward(&receiver, "ca = \"ca.pem\"", &files), "CertificateRequired");
    let known = "ca = \"ca.pem\"\ncert = \"elbow.pem\"\nkey = \"elbow.key\"";
    forward(&receiver, known, &files).expect_code(0);
    expect_all(numbers(&receiver.lines()), 1000);
}

#[test]
fn wrong_settings_are_named() {
    for (url, tls, expected) in [
        ("tls://h:1", "ca = \"missing.pem\"", "tls.ca: failed to read the certificates in missing.pem"),
        ("tls://h:1", "ca = \"elbow.toml\"", "tls.ca: there is no certificate in elbow.toml"),
        ("tls://h:1", "cert = \"elbow.toml\"", "tls.cert and tls.key belong together"),
        ("tcp://h:1", "ca = \"ca.pem\"", "write `tls://`"),
        ("tls://h:1", "verify = false", "unknown field `verify`"),
    ] {
        let config = format!("[destinations.a]\nurl = \"{url}\"\n[destinations.a.tls]\n{tls}");
        let run = Elbow::forward().config(&config).input("a.log", lines(1)).run().expect_code(2);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
}
