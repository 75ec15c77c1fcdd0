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
            _ => assert!(
                clients.is_empty(),
                "`{name}` has {clients:?}: calls go through `upstream`"
            ),
        }
    }
    assert!(seen >= 5, "only {seen} crates were found");
}
