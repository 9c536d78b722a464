//! The fault harness: objects go from an S3 server that fails through elbow to a receiver that misbehaves, as a seed
//! decides, and an oracle judges what elbow says of it.
//!
//! For each seed: **what is settled was received, byte for byte; what was not received is not settled; the ledger balances;
//! and once the faults stop, everything gets through.** `make soak SEEDS=n` runs as many seeds as you like; `FROM=seed`
//! begins at one, to have it again.
//!
//! The harness bites: with `confirm = "written"`, elbow counts as the forwarder did that it descends from, and
//! `counting_at_write_is_caught` shows that the oracle notices.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use elbow::config::{Config, DestinationConfig, MappingConfig, Url};
use elbow::fetch::s3::S3 as Client;
use elbow::fetch::{Fetcher, Uri};
use elbow::pipeline::Pipeline;
use elbow::rung::Rung;
use elbow::s3_server::{ACCESS_KEY, SECRET_KEY};
use elbow::settle::{Status, Summary};
use socket2::SockRef;
use tokio_util::sync::CancellationToken;

use crate::support::guests;
use crate::support::logs::gzip;
use crate::support::s3::{BUCKET, Fault, S3};

/// Numbers that a seed decides (SplitMix64: Steele, Lea and Flood, 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0, below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    /// Small numbers more often than large ones.
    fn skewed(&mut self, end: u64) -> u64 {
        let bits = self.below(u64::from(end.ilog2()) + 1);
        self.below((2 << bits).min(end))
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What the receiver does with one connection.
#[derive(Clone, Debug)]
enum Misdeed {
    None,
    AcceptLate(Duration),
    ReadSlowly(Duration),
    /// Closes with a reset.
    ResetAfter(usize),
    /// Closes, with whatever is unread.
    CloseAfter(usize),
    /// Reads no more, and resets a while later.
    StallAfter(usize),
    /// Shuts its side down early, and reads on for a while.
    HalfCloseAfter(usize),
    /// Reads everything, and does not close its side for longer than elbow waits.
    StayOpen,
}

/// All that a seed decides.
#[derive(Debug)]
struct Script {
    /// For each object its number of lines, and whether it is compressed.
    objects: Vec<(usize, bool)>,
    bodies: Vec<Fault>,
    /// For the first connections; those after them are good.
    connections: Vec<Misdeed>,
    concurrency: usize,
    pool: usize,
    batch: u64,
    rotate_bytes: u64,
    max_unconfirmed: u64,
}

impl Script {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let objects: Vec<_> = (0..1 + dice.below(4)).map(|_| (dice.skewed(3000) as usize, dice.chance(50))).collect();
        let bodies = (0..dice.below(5)).map(|_| match dice.below(4) {
            0 => Fault::Status(503, "SlowDown"),
            1 => Fault::CutBodyAfter(0),
            2 => Fault::CutBodyAfter(dice.skewed(20_000) as usize),
            _ => Fault::None,
        });
        let bodies = bodies.collect();
        let connections = (0..dice.below(8)).map(|_| {
            let bytes = dice.skewed(200_000) as usize;
            match dice.below(8) {
                0 => Misdeed::AcceptLate(Duration::from_millis(dice.below(80))),
                1 => Misdeed::ReadSlowly(Duration::from_micros(dice.below(3000))),
                2 => Misdeed::ResetAfter(bytes),
                3 => Misdeed::CloseAfter(bytes),
                4 => Misdeed::StallAfter(bytes),
                5 => Misdeed::HalfCloseAfter(bytes),
                6 => Misdeed::StayOpen,
                _ => Misdeed::None,
            }
        });
        Self {
            objects,
            bodies,
            connections: connections.collect(),
            concurrency: 1 + dice.below(4) as usize,
            pool: 1 + dice.below(4) as usize,
            batch: 256 + dice.skewed(64 << 10),
            rotate_bytes: 1024 + dice.skewed(256 << 10),
            max_unconfirmed: 1024 + dice.skewed(512 << 10),
        }
    }
}

/// The text of a line: which object, which line, and some bytes, so that lines differ in length.
fn line(seed: u64, object: usize, number: usize) -> String {
    let mut line = format!("seed {seed} object {object} line {number} ");
    line.extend(std::iter::repeat_n('x', (number * 37 + object) % 120));
    line
}

/// Accepts connections one after the other, and treats each as its script says.
struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<HashSet<String>>>,
    is_over: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
}

impl Receiver {
    fn start(misdeeds: Vec<Misdeed>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            is_over: Arc::default(),
            open: Arc::default(),
        };
        let (received, is_over, open) =
            (Arc::clone(&receiver.received), Arc::clone(&receiver.is_over), Arc::clone(&receiver.open));
        std::thread::spawn(move || {
            let mut misdeeds = misdeeds.into_iter();
            loop {
                let misdeed = misdeeds.next().unwrap_or(Misdeed::None);
                if let Misdeed::AcceptLate(rest) = misdeed {
                    pause(rest);
                }
                let (stream, _) = listener.accept().unwrap();
                if is_over.load(SeqCst) {
                    return;
                }
                open.fetch_add(1, SeqCst);
                let (received, open) = (Arc::clone(&received), Arc::clone(&open));
                std::thread::spawn(move || {
                    read(stream, &misdeed, &received);
                    open.fetch_sub(1, SeqCst);
                });
            }
        });
        receiver
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn read(mut stream: TcpStream, misdeed: &Misdeed, received: &Mutex<HashSet<String>>) {
    let end = match misdeed {
        Misdeed::ResetAfter(bytes)
        | Misdeed::CloseAfter(bytes)
        | Misdeed::StallAfter(bytes)
        | Misdeed::HalfCloseAfter(bytes) => *bytes,
        _ => usize::MAX,
    };
    let mut buffer = vec![0; 8192];
    let mut bytes = Vec::new();
    let mut total = 0;
    let mut has_half_closed = false;
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    loop {
        if total >= end && !has_half_closed {
            match misdeed {
                Misdeed::HalfCloseAfter(_) => {
                    let _ = stream.shutdown(std::net::Shutdown::Write);
                    has_half_closed = true;
                    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                }
                Misdeed::StallAfter(_) => {
                    pause(Duration::from_millis(250));
                    return SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                }
                Misdeed::ResetAfter(_) => return SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
                _ => return,
            }
        }
        let room = if has_half_closed { buffer.len() } else { buffer.len().min(end - total) };
        match stream.read(&mut buffer[..room]) {
            Ok(0) => break,
            Ok(read) => {
                total += read;
                bytes.extend_from_slice(&buffer[..read]);
                take_lines(&mut bytes, received);
                if let Misdeed::ReadSlowly(rest) = misdeed {
                    pause(*rest);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(_) => return,
        }
    }
    if let Misdeed::StayOpen = misdeed {
        pause(Duration::from_millis(400));
    }
}

fn take_lines(bytes: &mut Vec<u8>, received: &Mutex<HashSet<String>>) {
    let Some(end) = memchr::memrchr(b'\n', bytes) else { return };
    let mut received = received.lock().unwrap();
    for line in bytes[..end].split(|byte| *byte == b'\n') {
        received.insert(String::from_utf8(line.to_vec()).unwrap());
    }
    bytes.drain(..=end);
}

#[allow(clippy::disallowed_methods, reason = "the receiver's threads do as they are told, slowness included")]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

fn config(script: &Script, address: SocketAddr, confirm: Rung) -> Config {
    let url: Url = format!("tcp://{address}").parse().unwrap();
    let mut destination = DestinationConfig::new(url);
    destination.confirm = confirm;
    destination.require = confirm;
    destination.connections = script.pool;
    destination.rotate_bytes = script.rotate_bytes;
    destination.max_unconfirmed = script.max_unconfirmed;
    destination.rotate_age = Duration::from_millis(100);
    destination.write_timeout = Duration::from_millis(150);
    destination.close_timeout = Duration::from_millis(200);
    destination.connect_timeout = Duration::from_secs(1);
    destination.retry_for = Duration::from_secs(8);
    destination.event_id = String::new();
    let mapping = MappingConfig { component: Some(guests::fault().into()), ..MappingConfig::default() };
    let mut config = Config {
        destinations: BTreeMap::from([("receiver".into(), destination)]),
        mappings: BTreeMap::from([("lines".into(), mapping)]),
        ..Config::default()
    };
    config.limits.batch = script.batch;
    config.limits.concurrency = script.concurrency.try_into().unwrap();
    config.limits.drain_timeout = Duration::from_secs(10);
    config
}

async fn forward(s3: &S3, script: &Script, address: SocketAddr, confirm: Rung) -> Summary {
    let client = Client::at(&s3.endpoint(), ACCESS_KEY, SECRET_KEY);
    let fetcher = Fetcher::with_s3(client, Duration::from_secs(5));
    let pipeline = Pipeline::new(config(script, address, confirm), fetcher).await.unwrap();
    let bucket = Uri::Prefix { bucket: BUCKET.into(), prefix: String::new() };
    pipeline.run(vec![bucket], CancellationToken::new()).await
}

/// Runs a seed, and answers what is wrong with what elbow says.
async fn judge(seed: u64, confirm: Rung) -> Result<(), String> {
    let script = Script::new(seed);
    let s3 = S3::start();
    for (object, &(lines, compressed)) in script.objects.iter().enumerate() {
        let text: String = (0..lines).map(|number| line(seed, object, number) + "\n").collect();
        let stored = if compressed { gzip(text.as_bytes()) } else { text.into_bytes() };
        s3.put(&format!("{object}.log"), stored);
    }
    s3.fail(script.bodies.clone());
    let receiver = Receiver::start(script.connections.clone());
    let first = forward(&s3, &script, receiver.address, confirm).await;
    settled_is_received(seed, &script, &first, &receiver)?;
    s3.fail_no_more();
    let good = Receiver::start(vec![]);
    let second = forward(&s3, &script, good.address, Rung::Closed).await;
    if !second.settled {
        return Err(format!("without faults something failed: {:?}", second.failures));
    }
    settled_is_received(seed, &script, &second, &good)
}

fn settled_is_received(seed: u64, script: &Script, summary: &Summary, receiver: &Receiver) -> Result<(), String> {
    // A reader may still be at what has arrived before its connection was closed.
    crate::support::eventually("the receiver has read its connections", || receiver.open.load(SeqCst) == 0);
    if !summary.balanced {
        return Err(format!("the ledger does not balance: {:?}", summary.ledger));
    }
    if summary.objects.total != script.objects.len() as u64 {
        return Err(format!("{} objects of {}", summary.objects.total, script.objects.len()));
    }
    let received = receiver.received.lock().unwrap();
    for report in summary.per_object.iter().filter(|report| report.status == Status::Settled) {
        let name = report.object.rsplit('/').next().unwrap().trim_end_matches(".log");
        let object: usize = name.parse().unwrap();
        let lines = script.objects[object].0;
        if report.ledger.events.confirmed != lines as u64 {
            return Err(format!(
                "{}: {} of {lines} lines are confirmed",
                report.object, report.ledger.events.confirmed
            ));
        }
        for number in 0..lines {
            let event = format!("{{\"line\":\"{}\"}}", line(seed, object, number));
            if !received.contains(&event) {
                return Err(format!("{} is settled, but its line {number} of {lines} was not received", report.object));
            }
        }
    }
    Ok(())
}

/// Runs seeds, a few at a time, and answers those that failed, with their scripts.
fn run(seeds: std::ops::Range<u64>, confirm: Rung) -> Vec<String> {
    guests::fault();
    let next = Arc::new(Mutex::new(seeds));
    let failed = Arc::new(Mutex::new(Vec::new()));
    let workers = (0..4).map(|_| {
        let (next, failed) = (Arc::clone(&next), Arc::clone(&failed));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            loop {
                let Some(seed) = next.lock().unwrap().next() else { break };
                if let Err(wrong) = runtime.block_on(judge(seed, confirm)) {
                    let mut told = format!("seed {seed}: {wrong}\n");
                    writeln!(told, "{:#?}", Script::new(seed)).unwrap();
                    failed.lock().unwrap().push(told);
                }
            }
        })
    });
    // All are started before one is waited for.
    let workers: Vec<_> = workers.collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    Arc::into_inner(failed).unwrap().into_inner().unwrap()
}

#[test]
fn whatever_the_network_does_what_is_settled_was_received() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let from = number("FROM", 0);
    let seeds = number("SEEDS", 150);
    let failed = run(from..from + seeds, Rung::Closed);
    assert!(failed.is_empty(), "{} of {seeds} seeds failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn counting_at_write_is_caught() {
    let failed = run(0..40, Rung::Written);
    let lost = failed.iter().filter(|told| told.contains("was not received")).count();
    assert!(lost >= 5, "only {lost} of 40 seeds noticed");
}
