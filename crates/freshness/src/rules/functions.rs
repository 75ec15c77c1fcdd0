//! The functions that conditions may call beside CEL's own. Each treats a signal that is absent, or that is not of the
//! kind it needs, as matching nothing: a text where a time should be says nothing about time.
//!
//! | call | holds when |
//! | --- | --- |
//! | `within(updated, duration('120h'))` | `updated` is at most that long ago; a stamp in the future has age 0 |
//! | `near(expected_close, duration('120h'))` | `expected_close` is at most that far away, before or after |
//! | `one_of(status, ['Won', 'Lost'])` | `status` is one of these, whatever its case and spaces |
//! | `fold(status) == 'pendingwon'` | as written, with `status` in lower case and without spaces |

use std::sync::{Arc, LazyLock};

use cel::common::types::{
    CelBool, CelDuration, CelString, CelTimestamp, DURATION_TYPE, DYN_TYPE, LIST_TYPE,
    TIMESTAMP_TYPE,
};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError};

/// What a condition may call, with the fewest and the most arguments (the target of a method is one).
pub(super) const ALLOWED: &[(&str, usize, usize)] = &[
    ("within", 2, 2),
    ("near", 2, 2),
    ("one_of", 2, 2),
    ("fold", 1, 1),
    ("duration", 1, 1),
    ("timestamp", 1, 1),
    ("size", 1, 1),
    ("contains", 2, 2),
    ("startsWith", 2, 2),
    ("endsWith", 2, 2),
    ("int", 1, 1),
    ("double", 1, 1),
    ("string", 1, 1),
    ("getDayOfWeek", 1, 2),
    ("getHours", 1, 2),
];

/// The functions that are given `now` behind their own arguments.
pub(super) const TAKES_NOW: &[&str] = &["within", "near"];

/// CEL's own functions and ours, shared by all tables.
pub(super) fn environment() -> Arc<Env> {
    static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
        let mut env = Env::stdlib();
        let timed = || vec![DYN_TYPE, DURATION_TYPE, TIMESTAMP_TYPE];
        // The names are ours alone, so that adding them cannot fail; if it did, no table that calls them would compile.
        let _ = env.add_overload("within", "within", timed(), within);
        let _ = env.add_overload("near", "near", timed(), near);
        let _ = env.add_overload("one_of", "one_of", vec![DYN_TYPE, LIST_TYPE], one_of);
        let _ = env.add_overload("fold", "fold", vec![DYN_TYPE], fold);
        Arc::new(env)
    });
    Arc::clone(&ENVIRONMENT)
}

type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

fn within<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    // A stamp in the future is a clock that runs ahead: the record changed just now.
    let holds = distance(&arguments).is_some_and(|(age, at_most)| age.max(0) <= at_most);
    Ok(CowVal::owned(CelBool::from(holds)))
}

fn near<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let holds = distance(&arguments).is_some_and(|(age, at_most)| age.abs() <= at_most);
    Ok(CowVal::owned(CelBool::from(holds)))
}

/// How long ago the first argument is and how long ago it may be, in ms; `None` when it is no time.
fn distance(arguments: &[CowVal<'_, '_>]) -> Option<(i64, i64)> {
    let [time, at_most, now] = arguments else {
        return None;
    };
    let time = time.as_ref().downcast_ref::<CelTimestamp>()?.inner();
    let at_most = at_most.as_ref().downcast_ref::<CelDuration>()?.inner();
    let now = now.as_ref().downcast_ref::<CelTimestamp>()?.inner();
    let age = now
        .timestamp_millis()
        .saturating_sub(time.timestamp_millis());
    Some((age, at_most.num_milliseconds()))
}

fn one_of<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let holds = match arguments.as_slice() {
        [text, list] => match text.as_ref().downcast_ref::<CelString<'_>>() {
            Some(text) => has_like(list.as_ref(), text.inner()),
            None => false,
        },
        _ => false,
    };
    Ok(CowVal::owned(CelBool::from(holds)))
}

fn has_like(list: &(dyn Val + '_), text: &str) -> bool {
    let Some(list) = list.as_iterable() else {
        return false;
    };
    let mut items = list.iter();
    while let Some(item) = items.next() {
        let like = item
            .downcast_ref::<CelString<'_>>()
            .is_some_and(|item| folded(item.inner()).eq(folded(text)));
        if like {
            return true;
        }
    }
    false
}

fn fold<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let text: String = arguments
        .first()
        .and_then(|text| text.as_ref().downcast_ref::<CelString<'_>>())
        .map(|text| folded(text.inner()).collect())
        .unwrap_or_default();
    Ok(CowVal::owned(CelString::from(text)))
}

/// The characters of a text in lower case, without white space.
fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars()
        .filter(|character| !character.is_whitespace())
        .flat_map(char::to_lowercase)
}
