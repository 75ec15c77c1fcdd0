//! The due-queue: what is read is hot when the next reader comes, at no more calls than its lives allow.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cache::{
    Cache, CacheBuilder, Family, FamilySpec, Instance, Loaded, ManualClock, MemoryOptions,
    PerInstance, SizeClass, Source, Ttl,
};
use jiff::{SignedDuration, Timestamp};
use mirror::ReadAsk;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use simulators::connectwise::{Latency, Options};
use store::{
    Store,
    hot_reads::{HotNext, HotRead},
    testing::TestDatabase,
};
use tokio_util::sync::CancellationToken;

use crate::{
    desk::{Desk, connector_with, hasty, size},
    house::work,
    sweeping::mostly_cool,
};

/// Notes of a deal that moves.
const TTL: Duration = Duration::from_secs(60);
const DEALS: u64 = 50;
const READERS: u64 = 100;
/// Each reader opens a deal so often.
const PAUSE: Duration = Duration::from_secs(30);

#[derive(serde::Serialize, serde::Deserialize)]
struct Notes(u64);
cache::cacheable!(Notes, shape = 1);

type Deals = Family<PerInstance, u64, Notes>;

/// A desk by the clock of the test: the real cache and the real queue, and an upstream that counts.
struct Day {
    store: Store,
    cache: Cache,
    deals: Deals,
    clock: Arc<ManualClock>,
    began: Timestamp,
    spent: Duration,
    calls: Arc<AtomicU64>,
    /// The mirror's rows: as of when.
    rows: Arc<Mutex<HashMap<u64, Timestamp>>>,
}

impl Day {
    fn new(store: Store) -> Self {
        let began: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::new(began));
        let mut builder = CacheBuilder::new("1").clock(clock.clone());
        let ttl = Ttl::fixed(TTL);
        let spec = FamilySpec::new("deal:notes:{id}", "a test", ttl, SizeClass::Bulk);
        let deals = builder.family(spec.jitter(0.0).refresh_at(1.0)).unwrap();
        Self {
            store,
            cache: builder.memory(MemoryOptions::default()),
            deals,
            clock,
            began,
            spent: Duration::ZERO,
            calls: Arc::default(),
            rows: Arc::default(),
        }
    }

    fn now(&self) -> Timestamp {
        self.began + SignedDuration::try_from(self.spent).unwrap()
    }

    /// The mirror's row if it is fresh, and a call if it is not.
    fn loader(
        &self,
        deal: u64,
    ) -> impl FnOnce() -> std::future::Ready<Result<Loaded<Notes>, std::io::Error>> + Send + 'static
    {
        let (now, calls, rows) = (self.now(), Arc::clone(&self.calls), Arc::clone(&self.rows));
        move || {
            let mut rows = rows.lock().unwrap();
            let as_of = rows.entry(deal).or_insert(Timestamp::UNIX_EPOCH);
            if now.duration_since(*as_of) >= SignedDuration::try_from(TTL).unwrap() {
                calls.fetch_add(1, Ordering::Relaxed);
                *as_of = now;
            }
            std::future::ready(Ok(Loaded::found(Notes(deal), *as_of)))
        }
    }

    async fn read(&self, deal: u64) -> (bool, HotRead) {
        let key = self.cache.key(&self.deals, Instance("psa"), &deal);
        let answer = self
            .cache
            .get_or_load(&key, self.loader(deal))
            .await
            .unwrap();
        let as_of = answer.as_of();
        let read = HotRead {
            resource: "desk.deal_notes".parse().unwrap(),
            instance: "psa".to_owned(),
            id: deal.to_string(),
            record: deal.to_string(),
            as_of,
            due_at: as_of + SignedDuration::try_from(TTL).unwrap(),
            read_at: self.now(),
        };
        (answer.source() == Source::Memory, read)
    }

    async fn refresh_due(&self) {
        let now = self.now();
        let (since, until) = (
            now - mirror::DUE_RECENT,
            now + SignedDuration::from_secs(120),
        );
        for due in self
            .store
            .take_due_reads("psa", now, since, until, 100)
            .await
            .unwrap()
        {
            let deal = due.id.parse().unwrap();
            let key = self.cache.key(&self.deals, Instance("psa"), &deal);
            let answer = self.cache.refresh(&key, self.loader(deal)).await.unwrap();
            let next = HotNext::Lives(answer.as_of(), TTL);
            self.store.settle_due_read(&due, next).await.unwrap();
        }
    }

    /// Lets readers read for so long. Answers the share of hits.
    async fn pass(&mut self, length: Duration, with_queue: bool, seed: u64) -> f64 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut reads, mut hits) = (0_u64, 0_u64);
        let mut told: HashMap<u64, Timestamp> = HashMap::new();
        let step = Duration::from_secs(1);
        while self.spent < length {
            self.clock.advance(step);
            self.spent += step;
            if with_queue {
                self.refresh_due().await;
            }
            let mut news = Vec::new();
            for _ in 0..READERS {
                if !rng.random_bool(step.as_secs_f64() / PAUSE.as_secs_f64()) {
                    continue;
                }
                let deal = rng.random_range(0..DEALS);
                let (hit, read) = self.read(deal).await;
                reads += 1;
                hits += u64::from(hit);
                let known = told.get(&deal);
                if known.is_none_or(|at| self.now().duration_since(*at).as_secs() >= 20) {
                    told.insert(deal, self.now());
                    news.push(read);
                }
            }
            if with_queue && !news.is_empty() {
                self.store.note_hot_reads(&news).await.unwrap();
            }
        }
        hits as f64 / reads as f64
    }

    fn calls_max(&self) -> u64 {
        DEALS * (self.spent.as_secs() / TTL.as_secs() + 1)
    }
}

async fn virtual_day(length: Duration) {
    let seed = rand::random();
    println!("seed {seed}");
    let database = TestDatabase::fresh().await;
    let mut day = Day::new(database.store());
    let ratio = day.pass(length, true, seed).await;
    let calls = day.calls.load(Ordering::Relaxed);
    println!(
        "with the queue: {ratio:.4} hits, {calls} calls of {}",
        day.calls_max()
    );
    assert!(calls <= day.calls_max(), "{calls} > {}", day.calls_max());
    assert!(ratio >= 0.95, "{ratio}");

    let mut day = Day::new(database.store());
    let ratio = day.pass(length, false, seed).await;
    let calls = day.calls.load(Ordering::Relaxed);
    println!(
        "without: {ratio:.4} hits, {calls} calls of {}",
        day.calls_max()
    );
    assert!(calls <= day.calls_max());
    assert!(ratio < 0.95, "{ratio}: the queue would make no difference");
}

#[tokio::test]
async fn b4_a_hundred_readers_of_fifty_deals_find_them_hot_at_one_call_a_life() {
    virtual_day(Duration::from_secs(3600)).await;
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn b4_the_same_for_a_whole_day() {
    virtual_day(Duration::from_secs(24 * 3600)).await;
}

/// Notes live two seconds, and a call takes its time.
async fn hot_desk() -> (Desk, mirror::Mirror) {
    let options = Options {
        latency: Latency::Fixed(Duration::from_millis(100)),
        ..size(4, 1)
    };
    let mut desk = Desk::new(options, hasty(), mostly_cool(0)).await;
    desk.settings.connector = connector_with(|text| text.replace("ttl = \"5m\"", "ttl = \"2s\""));
    let mirror = desk.process(None).await;
    (desk, mirror)
}

/// Reads the notes of a deal ten times a second for ten seconds. Answers how many reads had to wait for a call, and how
/// many calls there were.
async fn read_on(desk: &Desk, mirror: &mirror::Mirror, deal: i64) -> (usize, usize) {
    let path = format!("sales/opportunities/{deal}/notes");
    let (resource, notes) = (
        "connectwise.opportunity".parse().unwrap(),
        ["notes".to_owned()],
    );
    let (deal, began) = (deal.to_string(), Instant::now());
    desk.sim.wiretap().clear();
    let mut waited = 0;
    while began.elapsed() < Duration::from_secs(10) {
        let read = mirror.read_detail(&resource, "psa", &deal, &notes, ReadAsk::default());
        let detail = read.await.unwrap().unwrap();
        waited +=
            usize::from(detail.payloads["notes"].as_ref().unwrap().answer.source == "upstream");
        tokio::time::sleep(Duration::from_millis(100)).await; // readers come one after the other
    }
    let calls = desk.calls().iter().filter(|call| call.path == path).count();
    let most = began.elapsed().as_millis() / 2000 + 1;
    assert!(
        calls as u128 <= most + 1,
        "{calls} calls in {:?}",
        began.elapsed()
    );
    (waited, calls)
}

#[tokio::test]
async fn d7_a_value_that_somebody_reads_is_fetched_again_before_the_next_reader_waits_for_it() {
    let (desk, mirror) = hot_desk().await;
    let deal = *desk.live_deals().first().unwrap();
    let (waited, calls) = read_on(&desk, &mirror, deal).await;
    assert_eq!(waited, calls, "nobody else fetches it");
    assert!(calls >= 3, "{calls}");

    let stop = CancellationToken::new();
    let (reader, until) = (mirror.clone(), stop.clone());
    let telling = tokio::spawn(async move { reader.follow(until).await });
    let working = work(&mirror, "tester");
    let (waited, calls) = read_on(&desk, &mirror, deal).await;
    stop.cancel();
    telling.await.unwrap();
    working.stop().await;
    println!("{waited} readers waited, {calls} calls");
    assert!(calls >= 3, "{calls}");
    assert!(
        waited <= calls / 2,
        "{waited} readers waited for {calls} calls"
    );
}
