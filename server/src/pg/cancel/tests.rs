#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn only_the_right_secret_cancels_and_only_while_something_runs() {
    let cancels = Arc::new(Cancels::default());
    for minor in [0, 2] {
        let key = cancels.register(minor).unwrap();
        let secret = key.message().secret_key.to_bytes();
        assert_eq!(secret.len(), if minor == 0 { 4 } else { 32 });

        cancels.cancel(key.pid, &secret);
        let token = key.start();
        assert!(
            !token.is_cancelled(),
            "a request between statements must not hit the next one"
        );
        let mut wrong = secret.to_vec();
        wrong[0] ^= 1;
        cancels.cancel(key.pid, &wrong);
        cancels.cancel(key.pid, &secret[..secret.len() - 1]);
        cancels.cancel(key.pid, &[]);
        cancels.cancel(key.pid ^ 1, &secret);
        assert!(!token.is_cancelled());
        cancels.cancel(key.pid, &secret);
        assert!(token.is_cancelled());

        let token = key.start();
        key.finish();
        cancels.cancel(key.pid, &secret);
        assert!(!token.is_cancelled());
    }
    assert!(cancels.connections.lock().unwrap().is_empty());
}
