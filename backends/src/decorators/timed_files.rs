// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A folder of files whose calls end: nothing retries here, but nothing waits without end either.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use duplicati_engine::storage::{StoreError, StoreErrorKind, StoreFuture};

use super::timeout::{TimeoutOptions, watch};
use crate::files::{FileEntry, Files};

/// Time that a file gets more in a folder that shows no signs of life while bytes move: its size is not known before.
const ALLOWANCE_WITHOUT_LIFE: Duration = Duration::from_secs(3_600);

/// Files with time-outs.
pub struct TimedFiles {
    inner: Arc<dyn Files>,
    options: TimeoutOptions,
}

impl TimedFiles {
    /// Watches the calls to `inner`.
    pub fn new(inner: Arc<dyn Files>, options: TimeoutOptions) -> Self {
        Self { inner, options }
    }

    fn timed<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        object: &'a str,
        (timeout, option): (Option<Duration>, &'static str),
        call: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        let Some(timeout) = timeout else { return call };
        let allowance = if self.options.shows_life || !matches!(operation, "get" | "put") {
            Duration::ZERO
        } else {
            ALLOWANCE_WITHOUT_LIFE
        };
        Box::pin(async move {
            let Some(result) = watch(call, timeout, allowance).await else {
                return Err(StoreError {
                    kind: StoreErrorKind::Unavailable,
                    operation,
                    object: object.to_owned(),
                    location: self.inner.location(),
                    message: format!(
                        "nothing was heard from the target for {} s (--{option})",
                        timeout.as_secs_f64()
                    ),
                    retry_after: None,
                    source: None,
                });
            };
            result
        })
    }

    fn transfer(&self) -> (Option<Duration>, &'static str) {
        (self.options.transfer, "read-write-timeout")
    }

    fn short(&self) -> (Option<Duration>, &'static str) {
        (self.options.short, "short-timeout")
    }
}

impl Files for TimedFiles {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list_files(&self, deep: bool) -> StoreFuture<'_, Vec<FileEntry>> {
        let limit = (self.options.list, "list-timeout");
        self.timed("list", "(root)", limit, self.inner.list_files(deep))
    }

    fn read_file<'a>(&'a self, path: &'a str) -> StoreFuture<'a, Bytes> {
        self.timed("get", path, self.transfer(), self.inner.read_file(path))
    }

    fn write_file<'a>(&'a self, path: &'a str, content: Bytes) -> StoreFuture<'a, ()> {
        self.timed("put", path, self.transfer(), self.inner.write_file(path, content))
    }

    fn delete_file<'a>(&'a self, path: &'a str) -> StoreFuture<'a, ()> {
        self.timed("delete", path, self.short(), self.inner.delete_file(path))
    }

    fn remove_folder<'a>(&'a self, path: &'a str) -> StoreFuture<'a, ()> {
        self.timed("delete", path, self.short(), self.inner.remove_folder(path))
    }

    fn create_folder(&self) -> StoreFuture<'_, ()> {
        self.timed("prepare", "(root)", self.short(), self.inner.create_folder())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::StoreOptions;

    struct Dead;

    impl Files for Dead {
        fn location(&self) -> String {
            "dead://".to_owned()
        }

        fn list_files(&self, _deep: bool) -> StoreFuture<'_, Vec<FileEntry>> {
            Box::pin(std::future::pending())
        }

        fn read_file<'a>(&'a self, _path: &'a str) -> StoreFuture<'a, Bytes> {
            Box::pin(std::future::pending())
        }

        fn write_file<'a>(&'a self, _path: &'a str, _content: Bytes) -> StoreFuture<'a, ()> {
            Box::pin(std::future::pending())
        }

        fn delete_file<'a>(&'a self, _path: &'a str) -> StoreFuture<'a, ()> {
            Box::pin(std::future::pending())
        }

        fn create_folder(&self) -> StoreFuture<'_, ()> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_kind_of_call_ends_also_for_a_local_folder() {
        let options = StoreOptions::default();
        for options in [TimeoutOptions::of(&options), TimeoutOptions::local(&options)] {
            let files = TimedFiles::new(Arc::new(Dead), options);
            let error = files.read_file("x").await.unwrap_err();
            assert!(error.message.contains("read-write-timeout"), "{error}");
            assert!(files.write_file("x", Bytes::new()).await.is_err());
            assert!(files.list_files(true).await.is_err());
            assert!(files.delete_file("x").await.is_err());
            assert!(files.create_folder().await.is_err());
        }
    }
}
