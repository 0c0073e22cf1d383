// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Carries `Retry-After` from a response to the error of the call that it ended, past libraries that drop it.

use std::{cell::Cell, future::Future, time::Duration};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Longer wishes are cut to this: a target that asks for a day would stop a backup for good.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

tokio::task_local! {
    static WISH: Cell<Option<Duration>>;
}

/// Runs a call and gives back what a response to it asked for.
pub async fn listen<T>(call: impl Future<Output = T>) -> (T, Option<Duration>) {
    WISH.scope(Cell::new(None), async {
        let result = call.await;
        (result, WISH.with(Cell::get))
    })
    .await
}

/// Keeps what a response asks for, for the call of the present task.
pub fn note(headers: &HeaderMap) {
    let wish = read(headers);
    // Outside of `listen` nobody wants to know.
    let _unheard = WISH.try_with(|cell| cell.set(wish));
}

/// The wish in the headers of a response. Seconds only; targets do not send the form with a date.
pub fn read(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_wish_of_the_last_response_reaches_the_listener() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        let ((), wish) = listen(async { note(&headers) }).await;
        assert_eq!(wish, Some(Duration::from_secs(7)));
        headers.insert(RETRY_AFTER, "999999999".parse().unwrap());
        let ((), wish) = listen(async { note(&headers) }).await;
        assert_eq!(wish, Some(RETRY_AFTER_MAX));
        headers.insert(RETRY_AFTER, "soon".parse().unwrap());
        let ((), wish) = listen(async { note(&headers) }).await;
        assert_eq!(wish, None);
        note(&headers);
    }
}
