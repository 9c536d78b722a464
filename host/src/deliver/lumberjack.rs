//! The Lumberjack protocol, version 2, as Beats speak it to Logstash.
//!
//! A client announces a window of so many events, sends them, and waits until the receiving *program* has acknowledged
//! them: the rung `accepted`. All numbers are big-endian, and each frame begins with `2` and its type:
//!
//! | frame | content |
//! |---|---|
//! | `W` | u32: how many events the window has |
//! | `J` | u32: the event's number in its window, from 1; u32: bytes; the event as JSON |
//! | `C` | u32: bytes; `J` frames, compressed by zlib |
//! | `A` | u32: events up to this number are accepted; 0 only says that the receiver is still there |
//!
//! An acknowledgement may be partial. What of a batch is acknowledged is not sent again when the connection breaks. One
//! that cannot be (for more than the window has, or for less than before) breaks the connection: nothing that such a
//! receiver says can be relied on.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

/// How elbow speaks it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// The most events in a window. Receivers may refuse more than 10,000.
    pub(super) window: u32,
    /// From 0, none, to 9, most.
    pub(super) compression: u32,
    /// How long the receiver may take no byte.
    pub(super) write_timeout: Duration,
    /// How long the receiver may say nothing.
    pub(super) ack_timeout: Duration,
    /// How long it may say nothing but that it is still there.
    pub(super) busy_timeout: Duration,
}

/// Sends events, each ended by a newline, and takes off what was accepted: after an error, what is left is not.
pub(super) async fn send(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ndjson: &mut Bytes,
    terms: Terms,
) -> io::Result<()> {
    while !ndjson.is_empty() {
        let ends: Vec<usize> =
            memchr::memchr_iter(b'\n', ndjson).take(terms.window as usize).map(|newline| newline + 1).collect();
        let mut window = encode(ndjson, &ends, terms.compression)?;
        while !window.is_empty() {
            match timeout(terms.write_timeout, stream.write_buf(&mut window)).await {
                Ok(Ok(0)) => return Err(ErrorKind::WriteZero.into()),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(late("read", terms.write_timeout)),
            }
        }
        timeout(terms.write_timeout, stream.flush()).await.map_err(|_| late("read", terms.write_timeout))??;
        let accepted = await_acks(stream, ends.len() as u32, terms).await;
        let (count, ended) = match accepted {
            Ok(()) => (ends.len(), Ok(())),
            Err((count, error)) => (count as usize, Err(error)),
        };
        if let Some(index) = count.checked_sub(1) {
            ndjson.advance(ends[index]);
        }
        ended?;
    }
    Ok(())
}

/// A window as it goes over the wire. `ends` says where its events end.
fn encode(ndjson: &[u8], ends: &[usize], compression: u32) -> io::Result<Bytes> {
    let last = ends.last().copied().unwrap_or_default();
    let mut frames = BytesMut::with_capacity(last + ends.len() * 10);
    let mut begin = 0;
    for (number, &end) in (1_u32..).zip(ends) {
        let event = &ndjson[begin..end - 1];
        frames.put_slice(b"2J");
        frames.put_u32(number);
        frames.put_u32(length(event)?);
        frames.put_slice(event);
        begin = end;
    }
    let mut window = BytesMut::with_capacity(frames.len() + 12);
    window.put_slice(b"2W");
    window.put_u32(ends.len() as u32);
    if compression == 0 {
        window.put_slice(&frames);
    } else {
        let mut encoder = ZlibEncoder::new(Vec::with_capacity(frames.len() / 4), Compression::new(compression));
        encoder.write_all(&frames)?;
        let compressed = encoder.finish()?;
        window.put_slice(b"2C");
        window.put_u32(length(&compressed)?);
        window.put_slice(&compressed);
    }
    Ok(window.freeze())
}

fn length(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| io::Error::new(ErrorKind::InvalidInput, "a frame has at most 4 GiB"))
}

/// Waits until a window is accepted. An error comes with how many of its events are.
async fn await_acks(stream: &mut (impl AsyncRead + Unpin), window: u32, terms: Terms) -> Result<(), (u32, io::Error)> {
    let mut accepted = 0;
    let mut busy_until = Instant::now() + terms.busy_timeout;
    while accepted < window {
        let silent_until = Instant::now() + terms.ack_timeout;
        let mut frame = [0; 6];
        match timeout_at(silent_until.min(busy_until), stream.read_exact(&mut frame)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                let error = io::Error::new(error.kind(), "the receiver closed before it had accepted the window");
                return Err((accepted, error));
            }
            Ok(Err(error)) => return Err((accepted, error)),
            Err(_) if busy_until <= silent_until => return Err((accepted, late("accepted", terms.busy_timeout))),
            Err(_) => return Err((accepted, late("said", terms.ack_timeout))),
        }
        let [b'2', b'A', number @ ..] = frame else {
            let message = format!("expected an acknowledgement, the receiver sent `{}`", frame.escape_ascii());
            return Err((accepted, io::Error::new(ErrorKind::InvalidData, message)));
        };
        match u32::from_be_bytes(number) {
            0 => {}
            number if number < accepted || number > window => {
                let message =
                    format!("the receiver acknowledged event {number} of a window of {window}, after {accepted}");
                // What it said before is no more worth than this.
                return Err((0, io::Error::new(ErrorKind::InvalidData, message)));
            }
            number => {
                accepted = number;
                busy_until = Instant::now() + terms.busy_timeout;
            }
        }
    }
    Ok(())
}

fn late(what: &str, within: Duration) -> io::Error {
    io::Error::new(ErrorKind::TimedOut, format!("the receiver has {what} nothing for {within:?}"))
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    const TERMS: Terms = Terms {
        window: 2,
        compression: 0,
        write_timeout: Duration::from_secs(5),
        ack_timeout: Duration::from_millis(200),
        busy_timeout: Duration::from_millis(500),
    };

    /// Sends three events to a receiver that answers with these acknowledgements, and answers what is left.
    async fn left(acks: &[u32], keep_open: bool) -> (String, io::Result<()>) {
        let (mut stream, mut receiver) = duplex(4096);
        for ack in acks {
            receiver.write_all(b"2A").await.unwrap();
            receiver.write_all(&ack.to_be_bytes()).await.unwrap();
        }
        let held = if keep_open { Some(receiver) } else { receiver.shutdown().await.map(|()| Some(receiver)).unwrap() };
        let mut ndjson = Bytes::from_static(b"{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
        let sent = send(&mut stream, &mut ndjson, TERMS).await;
        drop(held);
        (String::from_utf8(ndjson.to_vec()).unwrap(), sent)
    }

    #[tokio::test]
    async fn what_is_accepted_is_not_left() {
        for (acks, rest) in [
            (&[2, 1][..], ""),
            (&[0, 1, 0, 2, 0, 1], ""),
            (&[2], "{\"c\":3}\n"),
            (&[1], "{\"b\":2}\n{\"c\":3}\n"),
            (&[], "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n"),
        ] {
            let (left, sent) = left(acks, false).await;
            assert_eq!(left, rest, "{acks:?}");
            assert_eq!(sent.is_ok(), rest.is_empty(), "{acks:?}");
        }
    }

    #[tokio::test]
    async fn an_impossible_acknowledgement_accepts_nothing() {
        for acks in [&[3][..], &[1, 7], &[u32::MAX]] {
            let (left, sent) = left(acks, true).await;
            assert_eq!(left.lines().count(), 3, "{acks:?}");
            assert!(sent.unwrap_err().to_string().contains("acknowledged event"));
        }
    }

    #[tokio::test]
    async fn a_receiver_that_says_nothing_is_given_up() {
        let (left, sent) = left(&[1], true).await;
        assert_eq!(left.lines().count(), 2);
        assert!(sent.unwrap_err().to_string().contains("said nothing for 200ms"));
    }

    #[tokio::test]
    async fn a_receiver_that_is_busy_for_ever_is_given_up() {
        let (mut stream, mut receiver) = duplex(4096);
        let keep_alive = tokio::spawn(async move {
            while receiver.write_all(b"2A\0\0\0\0").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let mut ndjson = Bytes::from_static(b"{}\n");
        let error = send(&mut stream, &mut ndjson, TERMS).await.unwrap_err();
        assert!(error.to_string().contains("accepted nothing for 500ms"), "{error}");
        keep_alive.abort();
    }
}
