//! The decode stage: from an object's bytes as stored to its text.
//!
//! What the bytes are is decided by their first four, never by the object's name: AWS's logs come with and without `.gz`,
//! and HTTP clients undo compressions on the way. All members of a gzip file are read. A stream that ends too early is an
//! error, so that a truncated object is never taken for a short one; so is an object that grows beyond the cap.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, BufReader, ReadBuf};

/// How much text is decoded at a time.
const BUFFER: usize = 128 << 10;

/// A UTF-8 byte order mark at the start of a text is no part of it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The text of an object.
pub type Text = Pin<Box<dyn AsyncBufRead + Send>>;

/// How an object is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// gzip (RFC 1952), with any number of members.
    Gzip,
    /// Zstandard (RFC 8878), with any number of frames.
    Zstd,
}

impl Encoding {
    /// By the magic numbers of the formats.
    fn of(start: &[u8]) -> Self {
        match start {
            [0x1F, 0x8B, ..] => Self::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// Decodes an object. Reading fails where the stream is broken, ends too early, or exceeds `max_decoded` bytes of text.
pub async fn decode(
    mut stored: impl AsyncBufRead + Unpin + Send + 'static,
    max_decoded: u64,
) -> Result<(Encoding, Text)> {
    let start = read_start::<4>(&mut stored).await.context("failed to read the first bytes")?;
    let encoding = Encoding::of(&start);
    let stored = io::Cursor::new(start).chain(stored);
    let text: Pin<Box<dyn AsyncRead + Send>> = match encoding {
        Encoding::Plain => Box::pin(stored),
        Encoding::Gzip => {
            let mut decoder = GzipDecoder::new(stored);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Encoding::Zstd => {
            let mut decoder = ZstdDecoder::new(stored);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
    };
    let mut text = Capped { text, encoding, left: max_decoded, cap: max_decoded };
    let mut start = read_start::<3>(&mut text).await?;
    if start == BYTE_ORDER_MARK {
        start.clear();
    }
    let text = io::Cursor::new(start).chain(text);
    Ok((encoding, Box::pin(BufReader::with_capacity(BUFFER, text))))
}

/// The first `N` bytes, or fewer if there are not so many.
async fn read_start<const N: usize>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(N);
    from.take(N as u64).read_to_end(&mut start).await?;
    Ok(start)
}

/// Text, up to a cap, with errors that say what is wrong with the object.
struct Capped {
    text: Pin<Box<dyn AsyncRead + Send>>,
    encoding: Encoding,
    left: u64,
    cap: u64,
}

impl AsyncRead for Capped {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.text.as_mut().poll_read(task, buffer);
        if let Poll::Ready(Err(error)) = polled {
            return Poll::Ready(Err(self.explained(error)));
        }
        let read = (buffer.filled().len() - before) as u64;
        match self.left.checked_sub(read) {
            Some(left) => self.left = left,
            None => {
                let message =
                    format!("the object is larger than `max-decoded` ({} bytes) after decompression", self.cap);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, message)));
            }
        }
        polled
    }
}

impl Capped {
    fn explained(&self, error: io::Error) -> io::Error {
        let format = match self.encoding {
            Encoding::Plain => return error,
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
        };
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                io::Error::new(error.kind(), format!("the {format} data is truncated: it ends before its end mark"))
            }
            kind => io::Error::new(kind, format!("the {format} data is broken: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};

    use super::*;

    async fn decoded(stored: Vec<u8>, cap: u64) -> Result<(Encoding, Vec<u8>)> {
        let (encoding, mut text) = decode(io::Cursor::new(stored), cap).await?;
        let mut all = Vec::new();
        text.read_to_end(&mut all).await?;
        Ok((encoding, all))
    }

    async fn gzip(text: &[u8]) -> Vec<u8> {
        let mut stored = Vec::new();
        GzipEncoder::new(text).read_to_end(&mut stored).await.unwrap();
        stored
    }

    #[tokio::test]
    async fn the_first_bytes_decide() {
        let mut zstd = Vec::new();
        ZstdEncoder::new(&b"text\n"[..]).read_to_end(&mut zstd).await.unwrap();
        assert_eq!(decoded(gzip(b"text\n").await, 99).await.unwrap(), (Encoding::Gzip, b"text\n".to_vec()));
        assert_eq!(decoded(zstd, 99).await.unwrap(), (Encoding::Zstd, b"text\n".to_vec()));
        for plain in [&b""[..], b"a", b"\x1F", b"text\n"] {
            assert_eq!(decoded(plain.to_vec(), 99).await.unwrap(), (Encoding::Plain, plain.to_vec()));
        }
    }

    #[tokio::test]
    async fn all_members_are_read() {
        let mut stored = Vec::new();
        for part in [&b"one\n"[..], b"", b"two\n", &[b'x'; 300_000]] {
            stored.extend(gzip(part).await);
        }
        let (_, text) = decoded(stored, 1 << 20).await.unwrap();
        assert_eq!(text.len(), 8 + 300_000);
    }

    #[tokio::test]
    async fn a_truncated_object_is_an_error_wherever_it_is_cut() {
        let text: Vec<u8> = (0..20_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let stored = gzip(&text).await;
        for cut in [5, 12, stored.len() / 2, stored.len() - 8, stored.len() - 1] {
            let error = decoded(stored[..cut].to_vec(), 1 << 20).await.unwrap_err();
            assert!(error.to_string().contains("truncated"), "cut at {cut}: {error}");
        }
    }

    #[tokio::test]
    async fn garbage_after_the_magic_number_is_an_error() {
        let error = decoded(b"\x1F\x8B\x08\x00garbage that is no deflate stream".to_vec(), 999).await.unwrap_err();
        assert!(error.to_string().contains("gzip data is broken"), "{error}");
    }

    #[tokio::test]
    async fn a_bit_that_flips_is_an_error() {
        let mut stored = gzip(b"some text that is long enough to have a middle\n").await;
        let checksum = stored.len() - 6;
        stored[checksum] ^= 1;
        assert!(decoded(stored, 999).await.is_err());
    }

    #[tokio::test]
    async fn the_cap_is_that_of_the_text() {
        let stored = gzip(&[b'x'; 100]).await;
        assert!(decoded(stored.clone(), 100).await.is_ok());
        let error = decoded(stored, 99).await.unwrap_err();
        assert!(error.to_string().contains("max-decoded"), "{error}");
    }

    #[tokio::test]
    async fn a_byte_order_mark_is_taken_off_at_the_start_only() {
        let (_, text) = decoded(b"\xEF\xBB\xBFa\xEF\xBB\xBF".to_vec(), 99).await.unwrap();
        assert_eq!(text, b"a\xEF\xBB\xBF");
    }
}
