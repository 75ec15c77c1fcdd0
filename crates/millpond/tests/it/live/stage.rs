//! A company whose deals people change and read, in a day that passes faster, and the real server in front of it.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::{Value, json};
use simulators::connectwise::{ConnectWise, Options, Script, Size, Subject};
use store::testing::TestDatabase;

use crate::world::send_to;

const POLL: Duration = Duration::from_millis(100);

/// How much, how fast and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    pub deals: usize,
    /// So many times faster than life: lifetimes and intervals are shorter by it, rates higher.
    pub haste: f64,
    /// Calls in any minute of the company's time.
    pub calls: u32,
    /// Reads in a second of the company's time.
    pub reads: f64,
    /// Learning, then measuring, in seconds of ours.
    pub warm: Duration,
    pub measured: Duration,
    pub seed: u64,
}

/// Something that is read: a deal, its notes or its activities.
#[derive(Debug, Clone)]
pub struct Item {
    /// Below `/v1/records/`.
    pub path: String,
    /// What of it changes.
    pub subject: Subject,
    /// The id of the element that changes; `None`: the record itself does.
    pub element: Option<i64>,
    /// Changes and reads, in a second of ours.
    pub changes: f64,
    pub reads: f64,
}

impl Item {
    /// What an answer says of what changes.
    pub fn said(&self, answer: &Value) -> Value {
        let body = &answer["body"];
        let Some(id) = self.element else {
            return body[self.subject.member].clone();
        };
        let elements = body.as_array().into_iter().flatten();
        let mut found = elements.filter(|element| element["id"] == id);
        found
            .next()
            .map_or(Value::Null, |element| element[self.subject.member].clone())
    }
}

/// The company, and what is read of it.
pub struct Company {
    pub sim: ConnectWise,
    pub items: Vec<Item>,
    pub script: Script,
}

impl Company {
    pub async fn new(scene: &Scene) -> Self {
        let options = Options {
            seed: scene.seed,
            size: Size {
                opportunities: scene.deals,
                companies: 8,
                catalog_items: 10,
                adjustments: 1,
                tickets: 1,
            },
            ..Options::for_testing()
        };
        let sim = ConnectWise::start(options, SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let mut items = Vec::new();
        for id in sim.truth().ids("sales/opportunities") {
            sim.set_status(id, "Open");
            items.extend(items_of(&sim, id));
        }
        set_rates(&mut items, scene);
        let rates: Vec<(Subject, f64)> = items
            .iter()
            .map(|item| (item.subject.clone(), item.changes))
            .collect();
        let script = Script::by_chance(scene.seed, &rates, scene.warm + scene.measured);
        Self { sim, items, script }
    }
}

fn items_of(sim: &ConnectWise, deal: i64) -> Vec<Item> {
    let root = "connectwise.opportunity/psa";
    let item = |path: String, subject: String, member, element| Item {
        path,
        subject: Subject {
            path: subject,
            member,
        },
        element,
        changes: 0.0,
        reads: 0.0,
    };
    let mut items = vec![item(
        format!("{root}/{deal}"),
        format!("sales/opportunities/{deal}"),
        "notes",
        None,
    )];
    let note = sim.create(
        &format!("sales/opportunities/{deal}/notes"),
        json!({ "text": "A first note." }),
    );
    if let Some(id) = note.ok().and_then(|note| note["id"].as_i64()) {
        items.push(item(
            format!("{root}/{deal}/payloads/notes"),
            format!("sales/opportunities/{deal}/notes/{id}"),
            "text",
            Some(id),
        ));
    }
    let condition = format!("opportunity/id={deal}");
    let activities = sim
        .truth()
        .documents_with("sales/activities", &[("conditions", &condition)]);
    if let Some((id, _)) = activities.first() {
        items.push(item(
            format!("{root}/{deal}/payloads/activities"),
            format!("sales/activities/{id}"),
            "notes",
            Some(*id),
        ));
    }
    items
}

/// Log-normal change rates (median half a day, sigma 2.5, at most one a minute), Zipf read rates, those that change most
/// read most more often than not.
fn set_rates(items: &mut [Item], scene: &Scene) {
    let mut rng = StdRng::seed_from_u64(scene.seed);
    let count = items.len();
    let mut changes: Vec<f64> = (0..count)
        .map(|n| {
            let share = (n as f64 + 0.5) / count as f64;
            (0.5 / 86_400.0 * (2.5 * normal_quantile(share)).exp()).min(1.0 / 60.0)
        })
        .collect();
    changes.reverse();
    let mut reads: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-0.99)).collect();
    let all: f64 = reads.iter().sum();
    for rate in &mut reads {
        *rate *= scene.reads / all;
    }
    // Most are read in the order in which they change, the others in any.
    let mut strays: Vec<usize> = (0..count).filter(|n| n % 5 < 2).collect();
    let places = strays.clone();
    strays.shuffle(&mut rng);
    let mut order: Vec<usize> = (0..count).collect();
    for (place, stray) in places.into_iter().zip(strays) {
        order[place] = stray;
    }
    items.shuffle(&mut rng);
    for (n, item) in items.iter_mut().enumerate() {
        item.changes = changes[n] * scene.haste;
        item.reads = reads[order[n]] * scene.haste;
    }
}

/// The standard normal distribution's quantile, by bisection of its logistic approximation's error: good to 0.02.
fn normal_quantile(share: f64) -> f64 {
    (share / (1.0 - share)).ln() / 1.702
}

/// The real server over a database of its own. Killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    _database: TestDatabase,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    pub async fn start(company: &Company, scene: &Scene, policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../connectors/connectwise.toml"
        ));
        let connector = hasten(&text.unwrap(), scene.haste);
        std::fs::write(folder.path().join("connectwise.toml"), connector).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let millis = |secs: f64| format!("{:.0}ms", secs * 1_000.0 / scene.haste);
        let config = format!(
            "[server]\nlisten = \"{address}\"\n[freshness]\npolicy = \"{policy}\"\nmax_age = \"{}\"\nfeed_every_min = \"{}\"\n\
             patience = \"{}\"\n\
             [[instance]]\nname = \"psa\"\nconnector = \"connectwise.toml\"\nbase_url = \"{}\"\nprivate_hosts = true\n\
             resources = [\"opportunity_status\", \"opportunity\", \"activity\"]\n\
             limit = {{ calls = {}, per = \"{}\" }}\n\
             [[instance.connection]]\nname = \"main\"\nsecrets = {{ company = \"env:CW_COMPANY\", public_key = \"env:CW_PUBLIC\", \
             private_key = \"env:CW_PRIVATE\", client_id = \"env:CW_CLIENT\" }}\n",
            millis(3600.0),
            millis(5.0),
            millis(10.0),
            company.sim.base_url(),
            scene.calls,
            millis(60.0),
        );
        let path = folder.path().join("millpond.toml");
        std::fs::write(&path, config).unwrap();
        let database = TestDatabase::fresh().await;
        let key = &company.sim.options().company.keys[0];
        let child = Command::new(env!("CARGO_BIN_EXE_millpond"))
            .arg("--config")
            .arg(&path)
            .arg("serve")
            .env_clear()
            .env("DATABASE_URL", database.url())
            .env("CW_COMPANY", &company.sim.options().company.id)
            .env("CW_PUBLIC", &key.public)
            .env("CW_PRIVATE", &key.private)
            .env("CW_CLIENT", "00000000-0000-0000-0000-000000000000")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let server = Self {
            child,
            address,
            _database: database,
            folder,
        };
        server.until_mirrored(company).await;
        server
    }

    /// Waits until every deal is in.
    async fn until_mirrored(&self, company: &Company) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
        let last = company.items.iter().map(|item| &item.path);
        let paths: Vec<&String> = last.filter(|path| !path.contains("payloads")).collect();
        for path in paths {
            loop {
                assert!(
                    tokio::time::Instant::now() < deadline,
                    "{path} does not come"
                );
                if tokio::net::TcpStream::connect(self.address).await.is_ok() {
                    let asked = format!("/v1/records/{path}?no_calls=true");
                    if send_to(self.address, "GET", &asked, &[], None).await.status == 200 {
                        break;
                    }
                }
                tokio::time::sleep(POLL).await;
            }
        }
    }

    /// What a command of the program prints, as JSON.
    pub fn asked(&self, arguments: &[&str]) -> Value {
        let printed = Command::new(env!("CARGO_BIN_EXE_millpond"))
            .arg("--config")
            .arg(self.folder.path().join("millpond.toml"))
            .arg("--json")
            .args(arguments)
            .env_clear()
            .env("DATABASE_URL", self._database.url())
            .env("CW_COMPANY", "pond")
            .env("CW_PUBLIC", "-")
            .env("CW_PRIVATE", "-")
            .env("CW_CLIENT", "-")
            .output()
            .unwrap();
        let text = String::from_utf8(printed.stdout).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| {
            let said = String::from_utf8_lossy(&printed.stderr);
            panic!("{arguments:?}: {error}: {text} {said}")
        })
    }
}

/// A connector with lifetimes and intervals shorter by so much.
fn hasten(text: &str, haste: f64) -> String {
    let mut hastened = String::new();
    let mut rest = text;
    while let Some(at) = ["ttl = \"", "every = \"", "overlap = \"", "cooldown = \""]
        .into_iter()
        .filter_map(|key| rest.find(key).map(|at| at + key.len()))
        .min()
    {
        let (before, value) = rest.split_at(at);
        let end = value.find('"').unwrap();
        hastened.push_str(before);
        match upstream::parse_duration(&value[..end]) {
            Ok(period) => {
                let millis = (period.as_secs_f64() * 1_000.0 / haste).max(1.0);
                hastened.push_str(&format!("{millis:.0}ms"));
            }
            // The name of a table, or `none`.
            Err(_) => hastened.push_str(&value[..end]),
        }
        rest = &value[end..];
    }
    hastened + rest
}
