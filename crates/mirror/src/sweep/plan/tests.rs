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
        let ages: Vec<Option<Duration>> = values
            .iter()
            .map(|_| {
                rng.random_bool(0.8)
                    .then(|| Duration::from_secs(rng.random_range(0..120)))
            })
            .collect();
        let warmable = |n: &usize| values[*n].may_fetch && values[*n].ttl.is_some();
        let ran_out = |n: &usize| ages[*n].is_none_or(|age| age >= TTL);
        let expected: Vec<usize> = (0..values.len())
            .filter(|n| warmable(n) && ran_out(n))
            .collect();
        let (chosen, standing) = choose(&values, &ages, false);
        assert_eq!(chosen, expected, "seed {seed}");
        assert_eq!(standing.checked, values.len() as u64);
        assert_eq!(
            standing.fresh + standing.cool + standing.expired,
            standing.checked
        );
        let (chosen, _) = choose(&values, &ages, true);
        assert_eq!(
            chosen,
            (0..values.len()).filter(warmable).collect::<Vec<_>>()
        );
    }
}

#[test]
fn x9_a_row_that_is_fresh_itself_is_not_fetched_whatever_the_cache_says() {
    let values: Vec<Wanted> = (0..3).map(|id| wanted(id, Some(TTL), true)).collect();
    let ages = [59, 60].map(|secs| Some(Duration::from_secs(secs)));
    let (chosen, standing) = choose(&values, &[ages[0], ages[1], None], false);
    assert_eq!(chosen, [1, 2]);
    assert_eq!(standing.fresh, 1);
}
