//! Lumberjack, against two independent receivers: one that acknowledges by itself and says that it is busy, and one that
//! acknowledges as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_lumberjack::server::{Listener, Server as Ferro};
use lumberjack::Server;
use tokio::runtime::Runtime;

use crate::support::elbow::{Elbow, Run};
use crate::support::logs::{expect_all, lines, numbers};
use crate::support::tls::{Authority, in_front_of};

fn forward(address: SocketAddr, settings: &str, text: &str) -> Run {
    Elbow::forward().config(&config("lumberjack", address, settings)).input("a.log", text).run()
}

fn config(scheme: &str, address: SocketAddr, settings: &str) -> String {
    format!(
        "[destinations.beats]\nurl = \"{scheme}://{address}\"\n{settings}\n[mappings.aws.settings]\nstyle = \"flat\""
    )
}

/// What has arrived, one event a line.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<u8>>>);

impl Received {
    fn add(&self, event: &[u8]) {
        let mut received = self.0.lock().unwrap();
        received.extend_from_slice(event);
        received.push(b'\n');
    }

    fn numbers(&self) -> Vec<usize> {
        numbers(&self.0.lock().unwrap())
    }
}

/// Acknowledges each batch after a rest, in which it says that it is still there.
fn busy_receiver(rest: Duration) -> (Runtime, SocketAddr, Received) {
    let runtime = Runtime::new().unwrap();
    let building = Server::builder().keepalive(Duration::from_millis(20)).bind("127.0.0.1:0");
    let mut server = runtime.block_on(building).unwrap();
    let (address, received) = (server.local_addr(), Received::default());
    let taken = received.clone();
    runtime.spawn(async move {
        while let Some(batch) = server.recv().await {
            tokio::time::sleep(rest).await;
            batch.events().iter().for_each(|event| taken.add(event));
            batch.ack();
        }
    });
    (runtime, address, received)
}

/// What a receiver does with a window: how many of its events it takes and acknowledges, and then closes or not.
type Answer = fn(connection: usize, window: usize, events: u32) -> (u32, bool);

fn scripted_receiver(answer: Answer) -> (Runtime, SocketAddr, Received) {
    let runtime = Runtime::new().unwrap();
    let listener: Listener = runtime.block_on(Ferro::builder().bind("127.0.0.1:0")).unwrap();
    let (address, received) = (listener.local_addr().unwrap(), Received::default());
    let taken = received.clone();
    runtime.spawn(async move {
        for index in 0.. {
            let Ok(mut connection) = listener.accept().await else { continue };
            let taken = taken.clone();
            tokio::spawn(async move {
                for window_index in 0.. {
                    let Ok(Some(window)) = connection.read_window().await else { return };
                    let (acknowledged, closes) = answer(index, window_index, window.last_seq);
                    for event in window.events.iter().filter(|event| event.seq <= acknowledged) {
                        taken.add(&event.payload);
                    }
                    connection.send_ack(acknowledged).await.unwrap();
                    if closes {
                        return;
                    }
                }
            });
        }
    });
    (runtime, address, received)
}

#[test]
fn events_are_accepted_exactly_once() {
    for settings in ["", "compression = 0", "window = 7"] {
        let (_runtime, address, received) = busy_receiver(Duration::ZERO);
        let run = forward(address, settings, &lines(5000)).expect_code(0);
        assert_eq!(received.numbers(), (0..5000).collect::<Vec<_>>(), "{settings}");
        assert_eq!(run.text("/rung"), "accepted");
        assert_eq!(run.events(), [5000, 5000, 0]);
        assert_eq!(run.count("/events/resent"), 0);
    }
}

#[test]
fn events_are_accepted_over_tls() {
    let (_runtime, plain, received) = busy_receiver(Duration::ZERO);
    let authority = Authority::new();
    let (_front, address) = in_front_of(plain, authority.server("127.0.0.1", None));
    let config = config("lumberjacks", address, "tls = { ca = \"ca.pem\" }");
    let elbow = Elbow::forward().config(&config).file("ca.pem", authority.pem()).input("a.log", lines(5000));
    let run = elbow.run().expect_code(0);
    assert_eq!(received.numbers(), (0..5000).collect::<Vec<_>>());
    assert_eq!(run.text("/rung"), "accepted");
    // Without the file, the receiver is a stranger.
    let config = config.replace("tls = { ca = \"ca.pem\" }", "retry-for = \"200ms\"");
    let run = Elbow::forward().config(&config).input("a.log", lines(10)).run().expect_code(1);
    assert!(run.text("/per_object/0/error").contains("the TLS handshake failed"), "{:#}", run.summary);
}

#[test]
fn a_receiver_that_is_busy_is_waited_for() {
    let (_runtime, address, received) = busy_receiver(Duration::from_millis(400));
    forward(address, "ack-timeout = \"200ms\"", &lines(10)).expect_code(0);
    assert_eq!(received.numbers(), (0..10).collect::<Vec<_>>());
}

#[test]
fn what_was_acknowledged_in_part_is_not_sent_again() {
    // Each connection takes half of its second window, says so, and closes.
    let (_runtime, address, received) = scripted_receiver(|_, window, events| match window {
        1 => (events / 2, true),
        _ => (events, false),
    });
    let run = forward(address, "window = 100", &lines(2000)).expect_code(0);
    assert_eq!(received.numbers(), (0..2000).collect::<Vec<_>>(), "each once, and in order");
    assert_eq!(run.events(), [2000, 2000, 0]);
    assert!(run.count("/connections/destroyed/reset") > 5, "{:#}", run.summary["connections"]);
}

#[test]
fn an_acknowledgement_for_what_was_not_sent_counts_for_nothing() {
    let (_runtime, address, received) = scripted_receiver(|connection, window, events| match (connection, window) {
        (0, 0) => (events + 1, false),
        _ => (events, false),
    });
    let run = forward(address, "window = 100", &lines(500)).expect_code(0);
    expect_all(received.numbers(), 500);
    assert!(
        run.summary["failures"]["sockets"]["last"].to_string().contains("acknowledged event 101 of a window of 100")
    );
}

#[test]
fn a_receiver_that_never_acknowledges_gets_nothing_confirmed() {
    let (_runtime, address, _) = scripted_receiver(|_, _, _| (0, false));
    let run = forward(address, "ack-timeout = \"100ms\"\nretry-for = \"500ms\"", &lines(100)).expect_code(1);
    assert_eq!(run.events(), [100, 0, 100]);
    assert!(run.text("/per_object/0/error").contains("has said nothing for 100ms"), "{:#}", run.summary);
}

#[test]
fn a_receiver_of_another_protocol_is_told_apart() {
    let receiver = crate::support::receiver::Receiver::start(|_| crate::support::receiver::Script {
        end: crate::support::receiver::End::StayOpen,
        after_bytes: Some(10),
        talks: true,
        ..Default::default()
    });
    let run = forward(receiver.address, "retry-for = \"200ms\"", &lines(10)).expect_code(1);
    assert!(
        run.text("/per_object/0/error").contains("expected an acknowledgement, the receiver sent `still `"),
        "{:#}",
        run.summary
    );
}

#[test]
fn a_rung_that_it_does_not_have_is_refused() {
    let run = forward("127.0.0.1:1".parse().unwrap(), "confirm = \"closed\"", "").expect_code(2);
    assert!(run.stderr.contains("always confirms `accepted`"), "{}", run.stderr);
    let run =
        Elbow::forward().args(["--to", "tcp://h:1", "--confirm", "accepted"]).input("a.log", "").run().expect_code(2);
    assert!(run.stderr.contains("the most that it can prove is `closed`"), "{}", run.stderr);
}
