// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The body of an upload: moves in pieces that keep the limit and are a sign of life.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::ready;
use http_body::{Body, Frame, SizeHint};

use crate::transfer::{Limits, Progress};

type Wait = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// Bytes on their way to the target.
pub struct PacedBody {
    rest: Bytes,
    limits: Arc<Limits>,
    progress: Option<Arc<Progress>>,
    wait: Option<Wait>,
}

impl PacedBody {
    /// A body for a request that the present task waits for.
    pub fn new(content: Bytes, limits: Arc<Limits>) -> Self {
        Self {
            rest: content,
            limits,
            progress: Progress::current(),
            wait: None,
        }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        if let Some(progress) = &this.progress {
            progress.step();
        }
        let length = this.limits.upload.piece_bytes().min(this.rest.len());
        if this.limits.upload.bytes_per_second() > 0 || this.wait.is_some() {
            let (limits, progress) = (Arc::clone(&this.limits), this.progress.clone());
            let wait = this.wait.get_or_insert_with(|| {
                Box::pin(async move { limits.upload.pass_seen_by(length as u64, progress).await })
            });
            ready!(wait.as_mut().poll(context));
            this.wait = None;
        }
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
