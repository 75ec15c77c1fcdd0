//! No answer is older than its TTL, through any mix of reads, refreshes, wipes, failures and time.

use std::time::Duration;

use cache::{Clock, Instance, Invalidated};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::kit::{Kind, Kit, Source};

const TTL: Duration = Duration::from_secs(60);
const STALE_FOR: Duration = Duration::from_secs(600);

async fn every_answer_is_within_its_ttl(kind: Kind) {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let kit = Kit::new(kind).await;
    let source = Source::default();
    let (mut hits, mut stale) = (0, 0);
    for step in 0..3000 {
        let id = random.random_range(0..3);
        let family = if random.random() {
            &kit.families.notes
        } else {
            &kit.families.patient
        };
        let key = kit.cache.key(family, Instance("au"), &id);
        let now = kit.clock.now();
        // The row was fetched a while ago: its life is already running.
        let fetched = now - Duration::from_secs(random.random_range(0..55));
        let asked = match random.random_range(0..100) {
            0..60 => Some(
                kit.cache
                    .get_or_load(&key, source.gives("a", fetched))
                    .await,
            ),
            60..75 => Some(kit.cache.get_or_load(&key, source.fails()).await),
            75..80 => Some(kit.cache.refresh(&key, source.gives("a", fetched)).await),
            80..82 => {
                assert_eq!(
                    kit.cache.invalidate([key.name()]).await,
                    Invalidated::Everywhere
                );
                None
            }
            82..83 => {
                if let Some(server) = &kit.server {
                    let _: String = server.run(&["FLUSHALL"]).await;
                }
                None
            }
            _ => {
                kit.clock
                    .advance(Duration::from_millis(random.random_range(0..30_000)));
                None
            }
        };
        if let Some(Ok(answer)) = asked {
            let age = Duration::try_from(now.duration_since(answer.as_of())).unwrap();
            let bound = if answer.is_stale() {
                TTL + STALE_FOR
            } else {
                TTL
            };
            assert!(
                age < bound,
                "seed {seed}, step {step}: {answer:?} is {age:?} old"
            );
            hits += u32::from(answer.is_hit());
            stale += u32::from(answer.is_stale());
        }
    }
    assert!(
        hits > 200 && stale > 10,
        "seed {seed}: {hits} hits, {stale} stale"
    );
    let counted: u64 = kit
        .cache
        .families()
        .iter()
        .map(|(_, stats)| stats.stale_served)
        .sum();
    assert_eq!(counted, u64::from(stale), "stale answers are counted apart");
}

#[tokio::test]
async fn every_answer_out_of_memory_is_within_its_ttl() {
    every_answer_is_within_its_ttl(Kind::Memory).await;
}

#[tokio::test]
async fn every_answer_out_of_redis_is_within_its_ttl() {
    every_answer_is_within_its_ttl(Kind::Redis).await;
}

#[tokio::test]
async fn every_answer_out_of_two_tiers_is_within_its_ttl() {
    every_answer_is_within_its_ttl(Kind::TwoTier).await;
}
