//! What is found among the ten best: products by their codes, their names and in other words, by words alone, by vectors
//! alone and by both, beside PostgreSQL's own full text and trigrams.

mod questions;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use memory::{
    Candidate, Counts, Embedder as _, Field, Lexical, Matcher, Term, Weights, ranked, sketch_of,
    terms_of, text_of, words_of,
};
use mirror::SyncAsk;
use simulators::cin7::{Account, Cin7, Options as Simulated};
use sqlx::Row as _;
use store::{
    ResourceName, Store,
    memory::Vectored,
    private::PrivateCluster,
    recall::{AllFound, IndexedText, OtherForm, RecordFilter, RecordKey, Sought, SoughtTerm},
};
use tokio_util::sync::CancellationToken;

use self::questions::{Asked, Product, questions};
use crate::{company::open, measure::result};

/// The fields that make a product's text.
const FIELDS: [&str; 3] = ["SKU", "Name", "Category"];
/// How many hits are looked at.
const BEST: usize = 10;
/// Of reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009).
const RRF_K: f64 = 60.0;

/// How much is asked.
#[derive(clap::Args)]
pub struct Options {
    /// Questions of each kind that are made by rule.
    #[arg(long, default_value_t = 300)]
    questions: usize,
    /// What the questions are drawn with.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// The server's own way.
const DEFAULT: Way = Way::Weighted(0.5, 0.5);

/// A way to rank.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Weighted(f64, f64),
    ReciprocalRank,
    FullText,
    Trigrams,
}

/// Mirrors the products, keeps their texts, asks.
pub async fn run(options: Options) -> Result<()> {
    let account = Account::gbp();
    let simulated = Simulated {
        accounts: vec![account.clone()],
        limit: None,
        ..Simulated::default()
    };
    let upstream = Cin7::start(simulated, ([127, 0, 0, 1], 0).into()).await?;
    let folder = tempfile::tempdir()?;
    let cluster =
        PrivateCluster::start(store::private::Settings::new(folder.path().join("pg"))).await?;
    let mirror = open(&cluster, &upstream, &account, &["product"]).await?;
    let filled = mirror
        .sync(SyncAsk::default(), CancellationToken::new(), None)
        .await?;
    ensure!(filled.complete, "the sync did not complete: {filled:?}");
    let store = mirror.store();
    let began = Instant::now();
    let products = keep(store).await?;
    println!(
        "{} products, their texts kept with vectors of `{}` in {:.1} s",
        products.len(),
        Lexical.id(),
        began.elapsed().as_secs_f64()
    );
    let has_trigrams = sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        .execute(store.pool())
        .await
        .is_ok();
    let mut ways = vec![
        ("hybrid", DEFAULT),
        ("words", Way::Weighted(1.0, 0.0)),
        ("vectors", Way::Weighted(0.0, 1.0)),
        ("hybrid 0.3 words", Way::Weighted(0.3, 0.7)),
        ("hybrid 0.7 words", Way::Weighted(0.7, 0.3)),
        ("reciprocal ranks", Way::ReciprocalRank),
        ("postgresql full text", Way::FullText),
    ];
    if has_trigrams {
        ways.push(("pg_trgm", Way::Trigrams));
    }
    let asked = questions(&products, options.questions, options.seed)?;
    println!(
        "\n| recall@{BEST} | questions | {} |",
        names(&ways).join(" | ")
    );
    println!("| --- | --- |{}", " --- |".repeat(ways.len()));
    let mut times = Vec::new();
    let (mut sums, mut kinds) = (vec![0.0; ways.len()], 0);
    for (kind, asked) in &asked {
        let found = ask_all(store, asked, &ways, &mut times).await?;
        let ratios: Vec<f64> = found
            .iter()
            .map(|found| *found as f64 / asked.len() as f64)
            .collect();
        let cells: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.3}")).collect();
        println!("| {kind} | {} | {} |", asked.len(), cells.join(" | "));
        for (name, ratio) in names(&ways).iter().zip(&ratios).take(3) {
            result(&format!("recall10_{kind}_{name}"), *ratio, "ratio");
        }
        sums.iter_mut()
            .zip(&ratios)
            .for_each(|(sum, ratio)| *sum += ratio);
        kinds += 1;
    }
    let mean = |sum: &f64| sum / f64::from(kinds);
    let cells: Vec<String> = sums.iter().map(|sum| format!("{:.3}", mean(sum))).collect();
    println!("| mean of kinds | | {} |", cells.join(" | "));
    for (name, sum) in names(&ways).iter().zip(&sums).take(3) {
        result(&format!("recall10_{name}"), mean(sum), "ratio");
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    result("recall_scan_ms", median.as_secs_f64() * 1000.0, "ms");
    let p95 = times.get(times.len() * 95 / 100).copied();
    let p95 = p95.unwrap_or_default();
    result("recall_scan_p95_ms", p95.as_secs_f64() * 1000.0, "ms");
    upstream.stop().await;
    cluster.stop().await?;
    Ok(())
}

fn names(ways: &[(&'static str, Way)]) -> Vec<&'static str> {
    ways.iter().map(|(name, _)| *name).collect()
}

/// How many questions each way answers among its best; the time of each search in the server's own way goes to `times`.
async fn ask_all(
    store: &Store,
    asked: &[Asked],
    ways: &[(&'static str, Way)],
    times: &mut Vec<Duration>,
) -> Result<Vec<usize>> {
    let mut right = vec![0; ways.len()];
    for Asked { said, sku } in asked {
        for ((_, way), right) in ways.iter().zip(&mut right) {
            let began = Instant::now();
            let best = match way {
                Way::Weighted(words, vectors) => {
                    let found = candidates(store, said, *words, *vectors).await?;
                    let weights = Weights {
                        words: *words,
                        vectors: *vectors,
                    };
                    let best = ranked(found, weights, BEST);
                    best.into_iter().map(|ranked| ranked.candidate.id).collect()
                }
                Way::ReciprocalRank => reciprocal(&candidates(store, said, 0.5, 0.5).await?),
                Way::FullText => by_sql(store, FULL_TEXT, said).await?,
                Way::Trigrams => by_sql(store, TRIGRAMS, said).await?,
            };
            if *way == DEFAULT {
                times.push(began.elapsed());
            }
            *right += usize::from(texts(store, &best).await?.contains(sku));
        }
    }
    Ok(right)
}

/// What the server finds for a question of these weights: what counts nothing is not looked for.
async fn candidates(
    store: &Store,
    said: &str,
    words: f64,
    vectors: f64,
) -> Result<Vec<Candidate<String>>> {
    let terms = if words > 0.0 {
        terms_of(said)
    } else {
        Vec::new()
    };
    let vector = if vectors > 0.0 {
        let made = Lexical.embed(&[said.to_owned()]).await?;
        Some(made.vectors.into_iter().next().context("no vector")?)
    } else {
        None
    };
    let sought = Sought {
        terms: terms.iter().map(sought).collect(),
        vectored: vector.map(vectored),
    };
    let filter = RecordFilter {
        resources: vec!["cin7.product".to_owned()],
        instances: None,
    };
    let AllFound {
        terms: counts,
        texts,
    }: AllFound<RecordKey> = store.recall_records(&sought, &filter).await?;
    let counts = counts.iter().map(|term| Counts {
        rarity: term.rarity,
        is_known: term.is_known,
    });
    let mut matcher = Matcher::new(&terms, &counts.collect::<Vec<_>>());
    let found = texts.into_iter().map(|found| Candidate {
        id: found.key.2,
        words: matcher
            .share(&found.words)
            .map(|share| share * found.brevity),
        cosine: found.cosine,
    });
    Ok(found.collect())
}

fn sought(term: &Term) -> SoughtTerm {
    let others = term.others.iter().map(|form| OtherForm {
        word: form.word.clone(),
        worth: form.worth,
        is_guess: form.is_guess,
    });
    SoughtTerm {
        word: term.word.clone(),
        others: others.collect(),
    }
}

fn reciprocal(found: &[Candidate<String>]) -> Vec<String> {
    let mut scores: BTreeMap<&str, f64> = BTreeMap::new();
    for of in [
        |found: &Candidate<String>| found.words,
        |found: &Candidate<String>| found.cosine,
    ] {
        let mut list: Vec<(&str, f64)> = found
            .iter()
            .filter_map(|found| Some((found.id.as_str(), of(found)?)))
            .collect();
        list.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        for (rank, (id, _)) in list.into_iter().enumerate() {
            *scores.entry(id).or_default() += 1.0 / (RRF_K + rank as f64 + 1.0);
        }
    }
    let mut best: Vec<(&str, f64)> = scores.into_iter().collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1));
    best.into_iter()
        .take(BEST)
        .map(|(id, _)| id.to_owned())
        .collect()
}

const FULL_TEXT: &str = "\
    WITH q AS (SELECT replace(plainto_tsquery('english', $1)::text, '&', '|')::tsquery AS q) \
    SELECT id FROM millpond.recall, q WHERE to_tsvector('english', text) @@ q \
    ORDER BY ts_rank_cd(to_tsvector('english', text), q, 1) DESC, id LIMIT 10";
const TRIGRAMS: &str =
    "SELECT id FROM millpond.recall ORDER BY similarity(text, $1) DESC, id LIMIT 10";

async fn by_sql(store: &Store, sql: &'static str, said: &str) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(sql)
        .bind(said)
        .fetch_all(store.pool())
        .await?)
}

/// The codes of these products.
async fn texts(store: &Store, ids: &[String]) -> Result<Vec<String>> {
    let rows = sqlx::query("SELECT body->>'SKU' FROM cin7.product WHERE id = ANY ($1)")
        .bind(ids)
        .fetch_all(store.pool())
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Keeps the texts of all products, as the server does.
async fn keep(store: &Store) -> Result<Vec<Product>> {
    let resource: ResourceName = "cin7.product".parse()?;
    let fields: Vec<Field> = FIELDS
        .iter()
        .map(|field| field.parse())
        .collect::<Result<_, _>>()?;
    let records = store.all_indexed(&resource, None, 1_000_000).await?;
    let (mut texts, mut products) = (Vec::new(), Vec::new());
    for record in records {
        let Some(body) = record.body else { continue };
        let text = text_of(&body, &fields);
        let said = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        products.push(Product {
            sku: said("SKU"),
            name: said("Name"),
        });
        let made = Lexical.embed(std::slice::from_ref(&text)).await?;
        texts.push(IndexedText {
            instance: record.instance,
            id: record.id,
            version: record.version,
            words: words_of(&text),
            vectored: made.vectors.into_iter().next().map(vectored),
            text,
        });
    }
    store.keep_texts(&resource, &texts).await?;
    sqlx::query("ANALYZE millpond.recall")
        .execute(store.pool())
        .await?;
    Ok(products)
}

fn vectored(vector: Vec<f32>) -> Vectored {
    Vectored {
        embedder: Lexical.id().to_owned(),
        sketch: sketch_of(&vector),
        vector,
    }
}
