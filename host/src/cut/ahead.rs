//! A text whose next bytes can be looked at before they are taken.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio::time::timeout;

/// How much of an object a mapping sees before it is cut: the bound that the contract states.
const HEAD: usize = 16 << 10;

/// How long a first line waits for others to show to the mapping.
const LINGER: Duration = Duration::from_millis(200);

/// A text, and what was looked at of it.
pub struct Ahead<R> {
    ahead: BytesMut,
    text: R,
}

impl<R: AsyncBufRead + Unpin> Ahead<R> {
    /// A text from its beginning.
    pub fn new(text: R) -> Self {
        Self { ahead: BytesMut::new(), text }
    }

    /// The first bytes of what begins with the bytes that were taken last. Dropping the future loses nothing.
    pub async fn head(&mut self, taken: &[u8]) -> io::Result<Vec<u8>> {
        let taken = &taken[..taken.len().min(HEAD)];
        let most = HEAD - taken.len();
        while self.ahead.len() < most {
            // A whole line is enough to go on with, where a pipe has no more to give for now.
            let part = match taken.contains(&b'\n') || self.ahead.contains(&b'\n') {
                true => match timeout(LINGER, self.text.fill_buf()).await {
                    Ok(part) => part?,
                    Err(_) => break,
                },
                false => self.text.fill_buf().await?,
            };
            if part.is_empty() {
                break;
            }
            let part = &part[..part.len().min(most - self.ahead.len())];
            self.ahead.extend_from_slice(part);
            let moved = part.len();
            self.text.consume(moved);
        }
        Ok([taken, &self.ahead[..self.ahead.len().min(most)]].concat())
    }

    /// What comes next; nothing at the end.
    pub(super) async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.ahead.is_empty() {
            true => self.text.fill_buf().await,
            false => Ok(&self.ahead),
        }
    }

    /// Takes so many bytes of [`Self::fill_buf`].
    pub(super) fn consume(&mut self, bytes: usize) {
        match self.ahead.is_empty() {
            true => self.text.consume(bytes),
            false => self.ahead.advance(bytes),
        }
    }
}
