//! All that a seed decides.

use std::time::Duration;

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

    fn millis(&mut self, end: u64) -> Duration {
        Duration::from_millis(self.below(end))
    }

    fn some<T>(&mut self, end: u64, mut roll: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(end)).map(|_| roll(self)).collect()
    }
}

#[derive(Debug)]
pub(super) struct Script {
    pub(super) objects: Vec<Object>,
    /// What S3 does with the first requests for objects.
    pub(super) answers: Vec<Answer>,
    pub(super) receiver: Kind,
    pub(super) name: Name,
    /// A second endpoint of the destination.
    pub(super) other: Option<Other>,
    pub(super) interruption: Option<Interruption>,
    pub(super) concurrency: u64,
    pub(super) connections: u64,
    pub(super) batch: u64,
    pub(super) rotate_bytes: u64,
    pub(super) send_buffer: u64,
    pub(super) max_unconfirmed: u64,
}

#[derive(Debug)]
pub(super) struct Object {
    pub(super) lines: usize,
    pub(super) is_compressed: bool,
}

/// What S3 answers.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Good,
    Error(u16, &'static str),
    /// The connection breaks after so many bytes of the body.
    Cut(usize),
    /// The connection closes after so many bytes, in peace: the body is shorter than its length.
    Short(usize),
    /// This object has been replaced before the answer.
    Replaced(usize),
    /// The checksum is not that of the body.
    WrongChecksum,
    /// The body comes in drops, without end.
    Trickle,
}

/// What the receiver speaks, and what it does with its first connections; those after them are good.
#[derive(Debug)]
pub(super) enum Kind {
    Tcp(Vec<Misdeed>),
    Tls(Vec<Misdeed>),
    Lumberjack(Vec<Acks>),
}

#[derive(Clone, Debug)]
pub(super) enum Misdeed {
    None,
    AcceptLate(Duration),
    ReadSlowly(Duration),
    /// Closes with a reset.
    ResetAfter(usize),
    /// Closes, with whatever is unread.
    CloseAfter(usize),
    /// Reads no more, and resets a while later.
    StallAfter(usize),
    /// Reads nothing for longer than elbow waits, and then goes on.
    PauseAfter(usize),
    /// Shuts its side down early, and reads on for a while.
    HalfCloseAfter(usize),
    /// Reads everything, and does not close its side for longer than elbow waits.
    StayOpen,
    /// TLS: a certificate that is no longer valid.
    ExpiredCertificate,
    /// TLS: asks for a certificate that elbow has not. In TLS 1.3 its alert comes after events were written.
    RefuseAfterHandshake,
    /// TLS: an alert in the clear, as it comes from a box in the middle.
    AlertAfter(usize),
}

/// What a Lumberjack receiver does with a connection: from this window on, counted from 0.
#[derive(Clone, Debug)]
pub(super) enum Acks {
    All,
    /// Says for a while that it is still there.
    Busy(Duration),
    NeverFrom(u32),
    /// Accepts so many hundredths of a window, and closes.
    PartOf(u32, u32),
    /// Accepts more than the window has.
    TooManyOf(u32),
    /// Accepts half, and then a quarter.
    BackwardsIn(u32),
    CloseAt(u32),
}

/// What the host of the URL is.
#[derive(Debug)]
pub(super) enum Name {
    Address,
    /// A name with two addresses, and nobody listens at one of them.
    OneAddressDead,
    /// A name that is not known for some time.
    Forgotten {
        after: Duration,
        during: Duration,
    },
}

#[derive(Debug)]
pub(super) enum Other {
    Good,
    Refused,
    SynIgnored,
}

#[derive(Debug)]
pub(super) struct Interruption {
    pub(super) after: Duration,
    pub(super) signal: &'static str,
}

impl Script {
    pub(super) fn new(seed: u64) -> Self {
        let dice = &mut Dice(seed);
        let mut objects = vec![object(dice)];
        objects.extend(dice.some(4, object));
        if dice.chance(50) {
            // More than the kernels' buffers have room for.
            objects.push(Object { lines: 6000, is_compressed: false });
        }
        // More text than elbow may have memory for. With bounds as for a large object, or it would take minutes.
        let (is_large, least) = if dice.chance(2) { (true, 64 << 10) } else { (false, 0) };
        if is_large {
            objects.push(Object { lines: 600_000, is_compressed: true });
        }
        let count = objects.len() as u64;
        let answers = dice.some(5, |dice| answer(dice, count));
        let is_endless = answers.iter().any(|answer| matches!(answer, Answer::Trickle));
        Self {
            objects,
            answers,
            receiver: match dice.below(10) {
                0..6 => Kind::Tcp(dice.some(8, misdeed)),
                6..8 => Kind::Tls(dice.some(8, tls_misdeed)),
                _ => Kind::Lumberjack(dice.some(8, acks)),
            },
            name: match dice.below(10) {
                0 => Name::OneAddressDead,
                1 => Name::Forgotten { after: dice.millis(200), during: dice.millis(1000) },
                _ => Name::Address,
            },
            other: match dice.below(20) {
                0 => Some(Other::Refused),
                1 => Some(Other::SynIgnored),
                2..4 => Some(Other::Good),
                _ => None,
            },
            interruption: (is_endless || dice.chance(8)).then(|| Interruption {
                after: dice.millis(700),
                signal: if dice.chance(50) { "TERM" } else { "KILL" },
            }),
            concurrency: 1 + dice.below(4),
            connections: 1 + dice.below(4),
            batch: 256 + least / 4 + dice.below(32 << 10),
            rotate_bytes: 1024 + least * 4 + dice.below(512 << 10),
            send_buffer: if dice.chance(70) { 4 << 10 } else { 0 },
            max_unconfirmed: 1024 + least * 8 + dice.below(512 << 10),
        }
    }
}

fn object(dice: &mut Dice) -> Object {
    Object { lines: dice.skewed(3000) as usize, is_compressed: dice.chance(50) }
}

fn answer(dice: &mut Dice, objects: u64) -> Answer {
    match dice.below(24) {
        0..4 => Answer::Error(503, "SlowDown"),
        4 => Answer::Error(500, "InternalError"),
        5 => Answer::Error(403, "AccessDenied"),
        6 => Answer::Error(404, "NoSuchKey"),
        7 => Answer::Cut(0),
        8..12 => Answer::Cut(dice.skewed(20_000) as usize),
        12..15 => Answer::Short(dice.skewed(20_000) as usize),
        15..17 => Answer::Replaced(dice.below(objects) as usize),
        17 => Answer::WrongChecksum,
        18 => Answer::Trickle,
        _ => Answer::Good,
    }
}

fn misdeed(dice: &mut Dice) -> Misdeed {
    let bytes = dice.skewed(200_000) as usize;
    match dice.below(10) {
        0 => Misdeed::AcceptLate(dice.millis(80)),
        1 => Misdeed::ReadSlowly(Duration::from_micros(dice.below(3000))),
        2 => Misdeed::ResetAfter(bytes),
        3 => Misdeed::CloseAfter(bytes),
        4 => Misdeed::StallAfter(bytes),
        5 | 6 => Misdeed::PauseAfter(bytes / 8),
        7 => Misdeed::HalfCloseAfter(bytes),
        8 => Misdeed::StayOpen,
        _ => Misdeed::None,
    }
}

fn tls_misdeed(dice: &mut Dice) -> Misdeed {
    match dice.below(8) {
        0 => Misdeed::ExpiredCertificate,
        1 => Misdeed::RefuseAfterHandshake,
        2 => Misdeed::AlertAfter(dice.skewed(100_000) as usize),
        _ => misdeed(dice),
    }
}

fn acks(dice: &mut Dice) -> Acks {
    let window = dice.skewed(16) as u32;
    match dice.below(8) {
        0 => Acks::Busy(dice.millis(300)),
        1 => Acks::NeverFrom(window),
        2 | 3 => Acks::PartOf(window, dice.below(100) as u32),
        4 => Acks::TooManyOf(window),
        5 => Acks::BackwardsIn(window),
        6 => Acks::CloseAt(window),
        _ => Acks::All,
    }
}
