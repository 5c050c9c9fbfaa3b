#![allow(clippy::unwrap_used)]

use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn waits_double_after_the_free_failures_up_to_the_limit() {
    let throttle = Throttle::new();
    let now = Instant::now();
    let mut waits = Vec::new();
    for _ in 0..12 {
        throttle.failed(address("192.0.2.1"), now);
        waits.push(throttle.delay(address("192.0.2.1"), now).as_millis());
    }
    assert_eq!(waits, [0, 0, 250, 500, 1000, 2000, 4000, 8000, 8000, 8000, 8000, 8000]);
    assert_eq!(throttle.delay(address("192.0.2.2"), now), Duration::ZERO);
    assert_eq!(throttle.delay(address("192.0.2.1"), now + MEMORY), Duration::ZERO);
    throttle.succeeded(address("192.0.2.1"));
    assert_eq!(throttle.delay(address("192.0.2.1"), now), Duration::ZERO);
}

#[test]
fn addresses_of_one_network_count_together() {
    let throttle = Throttle::new();
    let now = Instant::now();
    for host in 1..=3 {
        throttle.failed(address(&format!("2001:db8::{host}")), now);
    }
    assert_eq!(throttle.delay(address("2001:db8::ffff"), now), FIRST_DELAY);
    assert_eq!(throttle.delay(address("2001:db8:0:1::1"), now), Duration::ZERO);
    for _ in 0..3 {
        throttle.failed(address("::ffff:192.0.2.9"), now);
    }
    assert_eq!(throttle.delay(address("192.0.2.9"), now), FIRST_DELAY);
}

#[test]
fn the_table_stays_bounded() {
    let throttle = Throttle::new();
    let now = Instant::now();
    for number in 0..MAX_ADDRESSES as u32 + 10 {
        throttle.failed(
            IpAddr::from(number.to_be_bytes()),
            now + Duration::from_millis(u64::from(number)),
        );
    }
    assert_eq!(throttle.addresses.lock().unwrap().len(), MAX_ADDRESSES);
    assert!(!throttle.addresses.lock().unwrap().contains_key(&address("0.0.0.0")));
}
