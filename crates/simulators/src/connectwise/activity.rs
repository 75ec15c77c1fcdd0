//! Scripted activity: who changes what, and when, so that two runs meet the same company.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::{ConnectWise, Refused};

/// Something that people change again and again: a member of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The record, `sales/opportunities/7/notes/3`.
    pub path: String,
    /// The member that is written, `text`.
    pub member: &'static str,
}

/// What is changed, and how long after the beginning.
#[derive(Clone, Debug, Default)]
pub struct Script(Vec<(Duration, Subject)>);

impl Script {
    /// Each subject is changed by chance, so often a second, until `until`. The same seed gives the same script.
    pub fn by_chance(seed: u64, subjects: &[(Subject, f64)], until: Duration) -> Script {
        let mut changes = Vec::new();
        for (n, (subject, rate)) in (0_u64..).zip(subjects) {
            let mut rng = StdRng::seed_from_u64(seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            if *rate <= 0.0 {
                continue;
            }
            let mut at = 0.0;
            loop {
                // Pauses between independent changes are exponential.
                at += -(1.0 - rng.random::<f64>()).ln() / rate;
                if at >= until.as_secs_f64() {
                    break;
                }
                changes.push((Duration::from_secs_f64(at), subject.clone()));
            }
        }
        changes.sort_by_key(|(at, _)| *at);
        Script(changes)
    }

    /// The changes in their order.
    pub fn changes(&self) -> &[(Duration, Subject)] {
        &self.0
    }
}

impl ConnectWise {
    /// Plays a script from now on, by the machine's clock; returns with its last change. Each change writes a text that
    /// was never there before.
    ///
    /// Dropping the future ends the script where it is.
    ///
    /// # Errors
    ///
    /// A change that the service would have refused; the rest is not played.
    pub async fn play(&self, script: &Script) -> Result<(), Refused> {
        let began = tokio::time::Instant::now();
        for (n, (at, subject)) in script.0.iter().enumerate() {
            tokio::time::sleep_until(began + *at).await;
            self.change(
                &subject.path,
                json!({ subject.member: format!("change {n}") }),
            )?;
        }
        Ok(())
    }

    /// What a subject says now.
    pub fn said(&self, subject: &Subject) -> Value {
        let record = self.truth().get(&subject.path).unwrap_or_default();
        record[subject.member].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deal(id: u64) -> Subject {
        Subject {
            path: format!("sales/opportunities/{id}"),
            member: "notes",
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_script_at_the_rates_asked_for() {
        let subjects = [(deal(1), 0.5), (deal(2), 0.0), (deal(3), 2.0)];
        let hour = Duration::from_secs(3600);
        let script = Script::by_chance(7, &subjects, hour);
        assert_eq!(
            script.changes(),
            Script::by_chance(7, &subjects, hour).changes()
        );
        let of = |subject| {
            let changes = script.changes().iter();
            changes.filter(|(_, other)| *other == subject).count()
        };
        assert!((1_600..2_000).contains(&of(deal(1))), "{}", of(deal(1)));
        assert_eq!(of(deal(2)), 0);
        assert!((6_800..7_600).contains(&of(deal(3))), "{}", of(deal(3)));
    }
}
