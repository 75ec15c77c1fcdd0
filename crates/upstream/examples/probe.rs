//! Asks a live API once for every resource of a connector: the first page of each listing and one record.
//!
//! `cargo run -p upstream --example probe -- FILE BASE_URL SECRET=VALUE…`. Private addresses are allowed. A secret's
//! value may be `env:NAME`, so that it stands in no shell history.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use upstream::{
    Class, Client, Connection, Connector, Fetched, GateConnection, MemoryGate, PageAsk, RawRecord,
    Secret, Settings,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(base_url)) = (arguments.next(), arguments.next()) else {
        return Err("usage: probe FILE BASE_URL SECRET=VALUE…".into());
    };
    let secrets = arguments
        .map(|argument| read_secret(&argument))
        .collect::<Result<BTreeMap<_, _>, _>>()?;
    let connector = Arc::new(Connector::parse(&file, &std::fs::read_to_string(&file)?)?);
    let name = "probe".to_owned();
    let gate = MemoryGate::new(vec![GateConnection {
        name: name.clone(),
        limits: connector.limits.clone(),
    }]);
    let mut settings = Settings::new(connector.clone(), "probe");
    settings.base_url = Some(base_url);
    settings.allow_private_hosts = true;
    settings.wait_max = Duration::from_secs(120);
    let client = Client::new(settings, Arc::new(gate), None)?;
    client.set_connections(&[Connection { name, secrets }])?;

    let mut first_rows: HashMap<&str, Vec<RawRecord>> = HashMap::new();
    let mut failures = 0;
    for resource in &connector.resources {
        let mut line = format!("{:26}", resource.name);
        if resource.list.is_some() {
            let ask = PageAsk {
                page_size: Some(5),
                ..PageAsk::default()
            };
            match client.list_page(resource, ask, Class::Read).await {
                Ok(page) => {
                    let stamped = page
                        .records
                        .iter()
                        .filter(|record| record.upstream_at.is_some())
                        .count();
                    let problems: Vec<_> = page
                        .records
                        .iter()
                        .filter_map(|record| record.problem.as_deref())
                        .collect();
                    failures += usize::from(!problems.is_empty());
                    line.push_str(&format!(
                        " {} of {:?}, {stamped} stamped{}",
                        page.records.len(),
                        page.total,
                        problems.join("; ")
                    ));
                    first_rows.insert(&resource.name, page.records);
                }
                Err(error) => {
                    failures += 1;
                    line.push_str(&format!(" FAILED {error}"));
                }
            }
        }
        let id = match &resource.of {
            Some(parent) => first_rows
                .get(parent.as_str())
                .and_then(|rows| rows.iter().find_map(|row| resource.detail_id(row))),
            None => first_rows
                .get(resource.name.as_str())
                .and_then(|rows| rows.first()?.id.clone()),
        };
        if let (Some(id), true) = (id, resource.get.is_some()) {
            match client.get_record(resource, &id, Class::Read).await {
                Ok(Fetched::Found(record, _)) => {
                    failures += usize::from(record.problem.is_some());
                    line.push_str(&format!(
                        ", got {id}: {} bytes, {:?}, {:?}",
                        record.body.len(),
                        record.upstream_at,
                        record.problem
                    ));
                }
                Ok(Fetched::Missing(_)) => {
                    failures += 1;
                    line.push_str(&format!(", {id} is MISSING"));
                }
                Err(error) => {
                    failures += 1;
                    line.push_str(&format!(", {id} FAILED {error}"));
                }
            }
        }
        println!("{line}");
    }
    if failures > 0 {
        Err(format!("{failures} failed").into())
    } else {
        Ok(())
    }
}

fn read_secret(argument: &str) -> Result<(String, Secret), Box<dyn std::error::Error>> {
    let (name, value) = argument.split_once('=').ok_or("a secret is NAME=VALUE")?;
    let value = match value.strip_prefix("env:") {
        Some(variable) => std::env::var(variable)?,
        None => value.to_owned(),
    };
    Ok((name.to_owned(), Secret::new(value)))
}
