use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

const TTL: Duration = Duration::from_secs(60);

fn wanted(id: usize, ttl: Option<Duration>, may_fetch: bool) -> Wanted {
    Wanted {
        resource: "desk.deal_notes".parse().unwrap(),
        id: id.to_string(),
        record: id.to_string(),
        is_payload: true,
        ttl,
        may_fetch,
    }
}

#[test]
fn b54_exactly_what_ran_out_and_may_be_warmed_is_fetched() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..500 {
        let values: Vec<Wanted> = (0..rng.random_range(0..50))
            .map(|id| {
                wanted(
                    id,
                    rng.random_bool(0.7).then_some(TTL),
                    rng.random_bool(0.7),
                )
            })
            .collect();
        let held: Vec<Held> = values
            .iter()
            .map(|_| {
                let age = Duration::from_secs(rng.random_range(0..120));
                match rng.random_range(0..4) {
                    0 => Held::Hot,
                    1 => Held::InMirror(age),
                    2 => Held::Unasked(age),
                    _ => Held::Nowhere,
                }
            })
            .collect();
        let warmable = |n: &usize| values[*n].may_fetch && values[*n].ttl.is_some();
        let ran_out = |n: &usize| match held[*n] {
            Held::Hot => false,
            // What is never kept is cool, however young.
            Held::InMirror(age) | Held::Unasked(age) => age >= TTL,
            Held::Nowhere => true,
        };
        let expected: Vec<usize> = (0..values.len())
            .filter(|n| warmable(n) && ran_out(n))
            .collect();
        let Plan {
            fetch,
            restore,
            standing,
        } = choose(&values, &held, false);
        assert_eq!(fetch, expected, "seed {seed}");
        assert!(restore.iter().all(|n| !fetch.contains(n)));
        assert_eq!(standing.checked, values.len() as u64);
        assert_eq!(
            standing.fresh + standing.cool + standing.expired,
            standing.checked
        );
        let plan = choose(&values, &held, true);
        assert_eq!(
            plan.fetch,
            (0..values.len()).filter(warmable).collect::<Vec<_>>()
        );
    }
}

#[test]
fn x9_a_row_that_is_fresh_itself_is_not_fetched_whatever_the_cache_says() {
    let values: Vec<Wanted> = (0..3).map(|id| wanted(id, Some(TTL), true)).collect();
    let [young, old] = [59, 60].map(Duration::from_secs);
    let held = [Held::InMirror(young), Held::InMirror(old), Held::Nowhere];
    let plan = choose(&values, &held, false);
    assert_eq!((plan.fetch, plan.restore), (vec![1, 2], vec![0]));
    assert_eq!(plan.standing.fresh, 1);
    let cannot_ask = [Held::Unasked(young), Held::Unasked(old), Held::Nowhere];
    let plan = choose(&values, &cannot_ask, false);
    assert_eq!((plan.fetch, plan.restore), (vec![1, 2], vec![]));
}
