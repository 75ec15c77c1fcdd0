use super::*;

fn connectwise() -> Arc<Connector> {
    let text = include_str!("../../../../../connectors/connectwise.toml");
    Arc::new(Connector::parse("connectwise.toml", text).unwrap())
}

fn registered(connectors: &[Arc<Connector>]) -> Vec<cache::FamilyInfo> {
    let mut builder = CacheBuilder::new("1");
    HotFamilies::register(&mut builder, connectors, HotSettings::default()).unwrap();
    let families = builder.off().families();
    families.into_iter().map(|(info, _)| info).collect()
}

#[test]
fn b1_the_page_on_caching_has_its_five_parts_and_every_family_that_a_connector_names() {
    let page = include_str!("../../../../../docs/caching.md");
    for part in [
        "## What happens",
        "## How long things live",
        "## Kept hot in the background",
        "## When upstream fails",
        "## Tools",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let families = registered(&[connectwise()]);
    let given = families.iter().filter(|info| {
        let name = info.name.as_str();
        name.starts_with("opp:") || name.starts_with("catalog:") || name.starts_with("search:")
    });
    let given: Vec<&str> = given.map(|info| info.name.as_str()).collect();
    assert_eq!(
        given.len(),
        9,
        "seven of a deal, one of an item, searches: {given:?}"
    );
    for name in given {
        assert!(
            page.contains(&format!("`{name}`")),
            "{name} is not on the page"
        );
    }
}

#[test]
fn b26_b33_b39_b141_each_family_of_a_deal_names_its_table_and_its_loader() {
    let families = registered(&[connectwise()]);
    let table = |name: &str| {
        let info = families.iter().find(|info| info.name == name).unwrap();
        assert_eq!(
            (info.loader.as_str(), info.scope),
            ("mirror.record", "instance")
        );
        assert!(
            info.jitter == 0.0,
            "a life that a table says is not shortened"
        );
        info.ttl.clone()
    };
    for (name, expected) in [
        ("opp:cw-data:{id}", "primary"),
        ("opp:activities:{id}", "primary"),
        ("opp:company-cw:{company}", "primary"),
        ("opp:notes:{id}", "sub_resource"),
        ("opp:contacts:{id}", "sub_resource"),
        ("opp:products:{id}", "products"),
        ("opp:site:{company}:{site}", "site"),
        ("catalog:item:cw:{id}", "catalog"),
    ] {
        assert_eq!(table(name), expected, "{name}");
    }
}

#[test]
fn a_copy_of_a_connector_under_another_name_shares_its_families() {
    let text = include_str!("../../../../../connectors/connectwise.toml");
    let copy = text.replacen("name = \"connectwise\"", "name = \"our_desk\"", 1);
    let copy = Arc::new(Connector::parse("our_desk.toml", &copy).unwrap());
    let both = registered(&[connectwise(), copy]);
    let notes = both.iter().filter(|info| info.name == "opp:notes:{id}");
    assert_eq!(notes.count(), 1);
}
