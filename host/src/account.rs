//! What became of the events of one object: the delivery side of its ledger.
//!
//! For each batch the pipeline opens a [`Ticket`], and a destination owes an answer to it: confirmed or failed. A ticket
//! that is dropped without an answer has failed, so an event cannot vanish with a task that was stopped.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::rung::Rung;

/// The account of one object. Shared by the pipeline and the tickets.
#[derive(Default)]
pub struct Account {
    delivered: Mutex<Delivered>,
    changed: Notify,
}

/// The state of an account.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    /// Events for which a ticket was opened.
    pub sent: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Events confirmed, by rung.
    pub confirmed: [u64; Rung::ALL.len()],
    /// Events that could not be delivered.
    pub failed: u64,
    /// Events that went out a second time, since their connection broke before they were confirmed.
    pub resent: u64,
    /// The last reason for a failure.
    pub failure: Option<String>,
    outstanding: u64,
}

impl Delivered {
    /// Events confirmed, at whatever rung.
    pub fn confirmed_total(&self) -> u64 {
        self.confirmed.iter().sum()
    }

    /// The weakest rung at which an event was confirmed.
    pub fn rung(&self) -> Option<Rung> {
        Rung::ALL.into_iter().find(|rung| self.confirmed[*rung as usize] > 0)
    }
}

impl Account {
    /// Opens a ticket for a batch.
    pub fn open(self: &Arc<Self>, events: u64, bytes: u64) -> Ticket {
        let mut delivered = self.lock();
        delivered.sent += events;
        delivered.bytes += bytes;
        delivered.outstanding += 1;
        Ticket { account: Arc::clone(self), events, answered: false }
    }

    /// The state as it is now.
    pub fn delivered(&self) -> Delivered {
        self.lock().clone()
    }

    /// Why a batch has failed for good, if one has.
    pub fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    /// Waits until each ticket has its answer. Dropping the future leaves everything as it is.
    pub async fn settled(&self) -> Delivered {
        loop {
            let changed = self.changed.notified();
            let delivered = self.delivered();
            if delivered.outstanding == 0 {
                return delivered;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Delivered> {
        self.delivered.lock().expect("no holder of this lock panics")
    }
}

/// An answer that is owed for a batch of events.
#[must_use = "a ticket that is dropped counts as failed"]
pub struct Ticket {
    account: Arc<Account>,
    events: u64,
    answered: bool,
}

impl Ticket {
    /// How many events it is for.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The batch has reached this rung.
    pub fn confirm(mut self, rung: Rung) {
        self.answer(|delivered, events| delivered.confirmed[rung as usize] += events);
    }

    /// The batch could not be delivered.
    pub fn fail(mut self, reason: String) {
        self.answer(|delivered, events| {
            delivered.failed += events;
            delivered.failure = Some(reason);
        });
    }

    /// The batch goes out again.
    pub fn note_resend(&self) {
        self.account.lock().resent += self.events;
    }

    fn answer(&mut self, book: impl FnOnce(&mut Delivered, u64)) {
        self.answered = true;
        let mut delivered = self.account.lock();
        book(&mut delivered, self.events);
        delivered.outstanding -= 1;
        drop(delivered);
        self.account.changed.notify_waiters();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.answered {
            self.answer(|delivered, events| {
                delivered.failed += events;
                delivered.failure = Some("elbow stopped before the batch was confirmed".into());
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_ticket_has_failed() {
        let account = Arc::new(Account::default());
        account.open(2, 20).confirm(Rung::Closed);
        account.open(1, 10).confirm(Rung::Received);
        drop(account.open(3, 30));
        let delivered = account.settled().await;
        assert_eq!(delivered.sent, 6);
        assert_eq!(delivered.confirmed_total(), 3);
        assert_eq!(delivered.failed, 3);
        assert_eq!(delivered.rung(), Some(Rung::Received));
    }

    #[tokio::test]
    async fn an_account_is_not_settled_while_a_ticket_is_open() {
        let account = Arc::new(Account::default());
        let ticket = account.open(1, 1);
        let settled = account.settled();
        tokio::pin!(settled);
        assert!(futures_util::poll!(&mut settled).is_pending());
        ticket.confirm(Rung::Written);
        settled.await;
    }
}
