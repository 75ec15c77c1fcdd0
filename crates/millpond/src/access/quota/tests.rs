//! A key's calls in a minute.

use jiff::{SignedDuration, Timestamp};
use store::keys::{Principal, Role};

use super::{Over, Quotas};
use crate::access::Caller;

fn caller(calls_per_minute: Option<i32>) -> Caller {
    let principal = Principal {
        key: Some("k".to_owned()),
        calls_per_minute,
        role: Role::User,
        ..Principal::operator()
    };
    Caller::new(principal, None, None)
}

#[test]
fn a_key_waits_for_the_next_minute_once_it_has_made_its_calls() {
    let quotas = Quotas::default();
    let at = |secs: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(secs);
    let until = at(60);
    for second in [0, 1] {
        assert_eq!(quotas.over_rate(&caller(Some(2)), at(second)), None);
    }
    for second in [1, 59] {
        let over = quotas.over_rate(&caller(Some(2)), at(second));
        assert_eq!(over, Some(Over::Rate { until }));
    }
    assert_eq!(quotas.over_rate(&caller(Some(2)), until), None);
    for _ in 0..100 {
        assert_eq!(quotas.over_rate(&caller(None), at(0)), None);
    }
}
