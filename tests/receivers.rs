//! Receivers as they are in the field: rsyslog, over TCP and over TLS, ends with exactly the lines that were sent.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::elbow::Elbow;
use crate::support::eventually;
use crate::support::logs::{line, lines};
use crate::support::receiver::free_address;
use crate::support::tls::Authority;

/// rsyslogd, which writes what arrives into files, a line each.
struct Rsyslog {
    plain: SocketAddr,
    tls: SocketAddr,
    authority: Authority,
    folder: TempDir,
    daemon: Child,
}

impl Rsyslog {
    fn start() -> Self {
        let (plain, tls, authority) = (free_address(), free_address(), Authority::new());
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = authority.sign("logs.example.com");
        for (name, text) in
            [("ca.pem", authority.pem()), ("server.pem", certificate.pem()), ("server.key", key.serialize_pem())]
        {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let config = config(folder.path(), plain, tls);
        std::fs::write(folder.path().join("rsyslog.conf"), config).unwrap();
        let daemon = Command::new("/usr/sbin/rsyslogd")
            .args(["-n", "-f"])
            .arg(folder.path().join("rsyslog.conf"))
            .arg("-i")
            .arg(folder.path().join("pid"))
            .stderr(Stdio::inherit())
            .spawn()
            .expect("rsyslogd is there: `make receivers` installs it");
        let rsyslog = Self { plain, tls, authority, folder, daemon };
        eventually("rsyslog listens", || TcpStream::connect(plain).is_ok());
        rsyslog
    }

    /// The lines of a file, sorted, once there are so many.
    fn lines(&self, file: &str, count: usize) -> Vec<String> {
        let path = self.folder.path().join(file);
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        eventually("rsyslog has written its lines", || read().lines().count() >= count);
        sorted(&read())
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// Without the switch for framing, a line that begins with a digit would be taken for one that begins with its length.
fn config(folder: &Path, plain: SocketAddr, tls: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        r#"
global(workDirectory="{folder}" maxMessageSize="1100k"
       defaultNetstreamDriverCAFile="{folder}/ca.pem" defaultNetstreamDriverCertFile="{folder}/server.pem"
       defaultNetstreamDriverKeyFile="{folder}/server.key"
       parser.escapeControlCharactersOnReceive="off" parser.dropTrailingLFOnReception="off")
module(load="imtcp")
template(name="verbatim" type="string" string="%rawmsg%\n")
ruleset(name="plain") {{ action(type="omfile" file="{folder}/plain.ndjson" template="verbatim") }}
ruleset(name="tls") {{ action(type="omfile" file="{folder}/tls.ndjson" template="verbatim") }}
input(type="imtcp" address="127.0.0.1" port="{plain}" ruleset="plain" supportOctetCountedFraming="off")
input(type="imtcp" address="127.0.0.1" port="{tls}" ruleset="tls" supportOctetCountedFraming="off"
      streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
"#,
        plain = plain.port(),
        tls = tls.port(),
    )
}

fn sorted(ndjson: &str) -> Vec<String> {
    let mut lines: Vec<String> = ndjson.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// Many lines, one of half a megabyte, and one with all that JSON has to escape.
fn log() -> String {
    let long = line(20_000).replace("demo/1.0", &"x".repeat(500_000));
    let odd = line(20_001).replace("demo/1.0", "tab\t quote\\\" back\\\\slash \u{7f} \u{1F4E8} ünïcode");
    lines(20_000) + &long + &odd
}

#[test]
fn rsyslog_has_exactly_the_lines_that_were_sent() {
    let rsyslog = Rsyslog::start();
    let log = log();
    let sent = Elbow::forward().args(["--to", "stdout:"]).input("a.log", &log).run().expect_code(0);
    let sent = sorted(std::str::from_utf8(&sent.stdout).unwrap());
    assert_eq!(sent.len(), 20_002);
    let tls = format!(
        "[destinations.rsyslog]\nurl = \"tls://{}\"\ntls = {{ ca = \"ca.pem\", server-name = \"logs.example.com\" }}",
        rsyslog.tls
    );
    let plain = format!("[destinations.rsyslog]\nurl = \"tcp://{}\"", rsyslog.plain);
    for (config, file) in [(plain, "plain.ndjson"), (tls, "tls.ndjson")] {
        let elbow = Elbow::forward().file("ca.pem", rsyslog.authority.pem());
        let run = elbow.config(&config).input("a.log", &log).run().expect_code(0);
        assert_eq!(run.text("/rung"), "closed", "{file}");
        assert_eq!(run.events(), [20_002, 20_002, 0], "{file}");
        let received = rsyslog.lines(file, sent.len());
        assert!(
            received == sent,
            "{file}: {} lines, the first that differs: {:?}",
            received.len(),
            received.iter().zip(&sent).find(|(received, sent)| received != sent)
        );
    }
}
