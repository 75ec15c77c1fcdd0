use super::*;

#[test]
fn every_reference_and_parent_leads_to_a_kind_of_the_file() {
    assert!(kinds().len() > 40);
    let mut referred = std::collections::BTreeSet::new();
    for known in kinds() {
        for field in &known.fields {
            match &field.ty {
                Ty::Ref(target, members) => {
                    let target = kind(target);
                    referred.insert(target.name);
                    for name in members {
                        assert!(target.field(name).is_some(), "{}.{name}", target.name);
                    }
                }
                Ty::Refs(target) | Ty::Rows(target) => drop(kind(target)),
                _ => {}
            }
        }
        if let Some((parent, link)) = known.parent {
            assert!(
                known.path.starts_with(kind(parent).path),
                "{} is not below {parent}",
                known.path
            );
            assert!(known.embedded || known.field(link).is_some(), "{link}");
        }
    }
    for known in referred.into_iter().map(kind) {
        for name in known.label.iter().flat_map(|(_, from)| from) {
            assert!(known.field(name).is_some(), "{}.{name}", known.name);
        }
    }
}
