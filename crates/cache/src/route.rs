//! Which families a request read, and whether a route that is declared cached reads any.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};

tokio::task_local! {
    static TOUCHED: Arc<Mutex<Vec<usize>>>;
}

/// Runs `request` and says which families it read, by their place in
/// [`Cache::families`](crate::Cache::families). Reads in tasks that the request spawned do not count.
pub async fn watch<T>(request: impl Future<Output = T>) -> (T, Vec<usize>) {
    let touched = Arc::new(Mutex::new(Vec::new()));
    let answer = TOUCHED.scope(touched.clone(), request).await;
    let touched = std::mem::take(&mut *lock(&touched));
    (answer, touched)
}

/// Notes a read of a family for the request under way, if one is watched.
pub(crate) fn touch(family: usize) {
    // Outside a watched request there is nobody to tell.
    let _ = TOUCHED.try_with(|touched| {
        let mut touched = lock(touched);
        if !touched.contains(&family) {
            touched.push(family);
        }
    });
}

/// How often each route was asked, and how often it read each family.
#[derive(Debug, Default)]
pub struct Routes {
    seen: Mutex<BTreeMap<String, Tally>>,
}

/// Requests of a route, and how many of them read each family.
type Tally = (u64, BTreeMap<usize, u64>);

/// What one route did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteEvidence {
    /// The route, as it is declared: `GET /v1/{resource}/{key}`.
    pub route: String,
    /// The families it is declared to read through.
    pub declared: Vec<String>,
    /// Requests answered.
    pub requests: u64,
    /// Requests that read each family.
    pub touched: BTreeMap<String, u64>,
}

impl Routes {
    /// Notes one request of `route` that read `families`. `route` must be the pattern, not the path.
    pub fn note(&self, route: &str, families: &[usize]) {
        let mut seen = lock(&self.seen);
        if !seen.contains_key(route) {
            seen.insert(route.to_owned(), Default::default());
        }
        if let Some((requests, touched)) = seen.get_mut(route) {
            *requests += 1;
            for family in families {
                *touched.entry(*family).or_default() += 1;
            }
        }
    }

    /// What `route` did so far, beside what it is declared to do. `names` are the families in order.
    pub fn evidence(&self, route: &str, declared: &[&str], names: &[String]) -> RouteEvidence {
        let seen = lock(&self.seen);
        let (requests, touched) = seen.get(route).cloned().unwrap_or_default();
        let touched = touched
            .into_iter()
            .filter_map(|(family, count)| Some((names.get(family)?.clone(), count)))
            .collect();
        let declared = declared.iter().map(|&name| name.to_owned()).collect();
        RouteEvidence {
            route: route.to_owned(),
            declared,
            requests,
            touched,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
