// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The bounded way into a stage. Actor mailboxes have no limit, so work never goes through them.
//!
//! One inlet may have several senders and several receivers: workers of a stage share one queue. The stream ends when every sender is dropped.

use std::sync::Arc;

use duplicati_engine::clock::{Clock, SystemClock};

use crate::{control::RunControl, error::RunError, metrics};

/// What an inlet counts bytes of.
pub trait Weighed {
    /// Bytes that this message stands for.
    fn weight_bytes(&self) -> u64;
}

/// Sending side.
pub struct Inlet<T> {
    stage: &'static str,
    sender: async_channel::Sender<T>,
    control: RunControl,
}

impl<T> Clone for Inlet<T> {
    fn clone(&self) -> Self {
        Self {
            stage: self.stage,
            sender: self.sender.clone(),
            control: self.control.clone(),
        }
    }
}

/// Receiving side.
pub struct Outlet<T> {
    receiver: async_channel::Receiver<T>,
    control: RunControl,
}

impl<T> Clone for Outlet<T> {
    fn clone(&self) -> Self {
        Self {
            receiver: self.receiver.clone(),
            control: self.control.clone(),
        }
    }
}

/// Makes the way into `stage` with room for `capacity_items` messages.
pub fn inlet<T: Send + 'static>(
    stage: &'static str,
    capacity_items: usize,
    control: &RunControl,
) -> (Inlet<T>, Outlet<T>) {
    let (sender, receiver) = async_channel::bounded(capacity_items.max(1));
    let closing = Arc::new(receiver.clone());
    control.on_trip(move || {
        closing.close();
    });
    (
        Inlet {
            stage,
            sender,
            control: control.clone(),
        },
        Outlet {
            receiver,
            control: control.clone(),
        },
    )
}

impl<T: Weighed> Inlet<T> {
    /// Sends from a worker thread; waits for room.
    ///
    /// # Errors
    /// When the run is over, or nobody receives any more.
    pub fn send_blocking(&self, message: T) -> Result<(), RunError> {
        self.control.check()?;
        let weight = message.weight_bytes();
        match self.sender.try_send(message) {
            Ok(()) => {}
            Err(async_channel::TrySendError::Closed(_)) => return Err(RunError::Interrupted),
            Err(async_channel::TrySendError::Full(message)) => {
                let begin = SystemClock.monotonic();
                let sent = self.sender.send_blocking(message);
                metrics::waited(self.stage, SystemClock.monotonic().saturating_sub(begin));
                sent.map_err(|_| RunError::Interrupted)?;
            }
        }
        metrics::entered(self.stage, weight, self.sender.len());
        Ok(())
    }

    /// Sends from an async worker; waits for room.
    ///
    /// # Errors
    /// When the run is over, or nobody receives any more.
    pub async fn send(&self, message: T) -> Result<(), RunError> {
        self.control.check()?;
        let weight = message.weight_bytes();
        let begin = SystemClock.monotonic();
        let full = self.sender.is_full();
        self.sender
            .send(message)
            .await
            .map_err(|_| RunError::Interrupted)?;
        if full {
            metrics::waited(self.stage, SystemClock.monotonic().saturating_sub(begin));
        }
        metrics::entered(self.stage, weight, self.sender.len());
        Ok(())
    }
}

impl<T> Outlet<T> {
    /// Receives on a worker thread; `None` is the end of the stream.
    ///
    /// # Errors
    /// When the run is over.
    pub fn receive_blocking(&self) -> Result<Option<T>, RunError> {
        let message = self.receiver.recv_blocking().ok();
        self.control.check().map(|()| message)
    }

    /// Receives in an async worker; `None` is the end of the stream.
    ///
    /// # Errors
    /// When the run is over.
    pub async fn receive(&self) -> Result<Option<T>, RunError> {
        let message = self.receiver.recv().await.ok();
        self.control.check().map(|()| message)
    }
}
