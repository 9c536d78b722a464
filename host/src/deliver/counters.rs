//! Connections and failures of a destination, counted for the summary.

use std::sync::{Mutex, MutexGuard};

use crate::connections::{Connections, Ending};
use crate::failures::Failures;

/// What a destination has to tell.
#[derive(Clone, Debug, Default)]
pub struct DeliveryReport {
    /// Connections opened and closed.
    pub connections: Connections,
    /// Attempts to connect, write or close that failed, whether or not another attempt succeeded.
    pub sockets: Failures,
}

/// The counters behind the report. Shared by all connections of a destination.
#[derive(Default)]
pub(super) struct Counters(Mutex<DeliveryReport>);

impl Counters {
    pub(super) fn report(&self) -> DeliveryReport {
        self.lock().clone()
    }

    pub(super) fn created(&self) {
        self.lock().connections.created += 1;
    }

    pub(super) fn destroyed(&self, ending: Ending) {
        *self.lock().connections.destroyed.entry(ending).or_default() += 1;
    }

    pub(super) fn waited(&self) {
        self.lock().connections.waited += 1;
    }

    pub(super) fn socket_failed(&self, reason: String) {
        self.lock().sockets.add(reason);
    }

    fn lock(&self) -> MutexGuard<'_, DeliveryReport> {
        self.0.lock().expect("no holder of this lock panics")
    }
}
