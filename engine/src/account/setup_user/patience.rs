//! Waiting for what IAM has made to be known everywhere in AWS, which takes some seconds (IAM user guide, "Changes that I make
//! are not always immediately visible").

use std::future::Future;
use std::time::Duration;

use crate::account::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::port::Clock;

/// How often AWS is asked again.
const EVERY: Duration = Duration::from_secs(1);
/// How often in all. AWS says seconds; half a minute is what administrators have seen.
pub(super) const TRIES: u32 = 30;
/// After how many tries the person who waits is told again.
const TELL_EVERY: u32 = 10;

/// Asks until AWS knows `what`: again as long as the answer is `not_yet`, for at most half a minute, and not after a
/// cancellation. Errors: the last answer, or `Cancelled`.
pub(super) async fn until_known<T, F>(
    clock: &dyn Clock,
    caller: &Caller<'_>,
    what: &str,
    not_yet: impl Fn(&Error) -> bool + Send + Sync,
    ask: impl Fn() -> F + Send + Sync,
) -> Result<T>
where
    F: Future<Output = Result<T>> + Send,
{
    let mut tries = 1;
    loop {
        let error = match ask().await {
            Err(error) if not_yet(&error) && tries < TRIES => error,
            answer => return answer,
        };
        if tries % TELL_EVERY == 1 {
            let left = (EVERY * (TRIES - tries)).as_secs();
            caller.notify.notify(&format!(
                "Waiting, for at most {left} seconds more, until AWS knows {what}: {}",
                error.message()
            ));
        }
        tries += 1;
        let waited = caller.cancel.run_until_cancelled(clock.sleep(EVERY)).await;
        if waited.is_none() {
            return Err(Error::new(ErrorKind::Cancelled, "the call was cancelled")
                .with_hint("What was made in AWS stays; the same call goes on from there."));
        }
    }
}
