//! Nobody else calls out.

use std::path::Path;

/// Crates that can make HTTP requests.
const CLIENTS: [&str; 9] = [
    "reqwest",
    "ureq",
    "isahc",
    "curl",
    "attohttpc",
    "surf",
    "minreq",
    "hyper-util",
    "hyper-client",
];

#[test]
fn b136_only_this_crate_has_an_http_client() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut seen = 0;
    for folder in std::fs::read_dir(crates).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        let manifest = std::fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        let clients = CLIENTS
            .iter()
            .filter(|client| dependencies.contains_key(**client));
        let clients: Vec<&&str> = clients.collect();
        seen += 1;
        match name.as_str() {
            "upstream" => assert_eq!(clients, [&"reqwest"]),
            // There it is the upstream that calls: it delivers webhooks.
            "simulators" => {}
            "millpond" => assert_eq!(
                clients,
                [&"hyper-util"],
                "its commands ask Millpond's own server, and nothing else"
            ),
            _ => assert!(
                clients.is_empty(),
                "`{name}` has {clients:?}: calls go through `upstream`"
            ),
        }
    }
    assert!(seen >= 5, "only {seen} crates were found");
}

/// `millpond cache` asks the server of the same configuration, at a socket address: no name is looked up, no proxy used.
#[test]
fn a_command_asks_its_own_server_in_one_place_only() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../millpond/src");
    let asking: Vec<_> = walk(&sources)
        .into_iter()
        .filter(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            text.contains("hyper::client") || text.contains("hyper_util::client")
        })
        .collect();
    assert_eq!(asking, [sources.join("cli/cache.rs")]);
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}
