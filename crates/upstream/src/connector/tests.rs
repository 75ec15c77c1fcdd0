use super::*;

/// The connectors that ship with the project must be readable; users start from them.
#[test]
fn shipped_connectors_are_read_without_a_problem() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../connectors");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if let Err(diagnostics) = Connector::parse(&name, &text) {
            panic!("{diagnostics}");
        }
        count += 1;
    }
    assert!(count > 0);
}
