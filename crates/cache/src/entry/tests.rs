use proptest::prelude::*;

use super::*;
use crate::value::Body;

fn moment() -> Moment {
    Moment {
        now: Timestamp::from_millisecond(100_000).unwrap(),
        uptime: Duration::from_secs(7),
        uptime_floor: Duration::from_secs(7),
    }
}

fn window() -> Window {
    Window {
        fetched_at: 90_000,
        expires_at: 110_000,
        stale_until: 120_000,
    }
}

#[test]
fn an_entry_survives_the_store() {
    let stored = encode(Some(&Bytes::from_static(b"{\"a\":1}")), &window(), 7);
    let entry = decode::<Body>(stored, moment()).unwrap();
    assert_eq!(entry.value, Some(Body::new(&b"{\"a\":1}"[..])));
    assert_eq!(entry.window, window());
    assert!(entry.is_fresh(Duration::from_millis(16_999)));
    assert!(!entry.is_fresh(Duration::from_millis(17_000)));
    assert!(entry.is_kept(Duration::from_millis(26_999)));
    assert!(!entry.is_kept(Duration::from_millis(27_000)));
    assert!(!entry.claim_refresh(0.75, Duration::from_millis(11_999)));
    assert!(entry.claim_refresh(0.75, Duration::from_millis(12_000)));
    assert!(
        !entry.claim_refresh(0.75, Duration::from_millis(12_000)),
        "one reader refreshes"
    );
}

#[test]
fn nothing_found_is_not_an_empty_value() {
    let absent = decode::<Body>(encode(None, &window(), 7), moment()).unwrap();
    assert_eq!(absent.value, None);
    let empty = decode::<Body>(encode(Some(&Bytes::new()), &window(), 7), moment()).unwrap();
    assert_eq!(empty.value, Some(Body::new(&b""[..])));
}

proptest! {
    #[test]
    fn a_flipped_bit_is_noticed(at in 0usize..HEADER_BYTES + 7, bit in 0u8..8) {
        let mut stored = encode(Some(&Bytes::from_static(b"{\"a\":1}")), &window(), 7).to_vec();
        stored[at] ^= 1 << bit;
        prop_assert!(decode::<Body>(Bytes::from(stored), moment()).is_err());
    }

    #[test]
    fn garbage_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(decode::<Body>(Bytes::from(bytes), moment()).is_err());
    }
}
