//! Names: nobody's key is another's, and every name leads back to its key.

use std::collections::HashMap;

use cache::{
    CacheBuilder, Everyone, FamilyError, Instance, MemoryOptions, PerInstance, PerTenant, Tenant,
    User,
};
use proptest::prelude::*;

use crate::kit::{self, spec};

/// Texts that are likely to imitate one another.
fn tricky() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab:/%=]{0,4}",
        "\\PC{0,3}",
        Just(String::new()),
        Just("i=a".into())
    ]
}

proptest! {
    #[test]
    fn no_two_owners_or_ids_share_a_name(
        given in proptest::collection::vec((0u8..5, tricky(), tricky(), tricky(), 0u64..3), 2..40),
    ) {
        let mut builder = CacheBuilder::new("7");
        let families = kit::families(&mut builder);
        let cache = builder.memory(MemoryOptions::default());
        let mut seen = HashMap::new();
        for (family, a, b, c, id) in given {
            let tenant = Tenant(&a);
            let (key, who) = match family {
                0 => (cache.key(&families.notes, Instance(&a), &id), format!("{family} {a:?} {id}")),
                1 => (cache.key(&families.patient, Instance(&a), &id), format!("{family} {a:?} {id}")),
                2 => (
                    cache.key(&families.tagged, tenant, &(b.clone(), id)),
                    format!("{family} {a:?} {b:?} {id}"),
                ),
                3 => (
                    cache.key(&families.answers, User { tenant, user: &b }, c.as_str()),
                    format!("{family} {a:?} {b:?} {c:?}"),
                ),
                _ => (
                    cache.key(&families.principals, (), a.as_str()),
                    format!("{family} {a:?}"),
                ),
            };
            let known = seen.entry(key.physical().to_owned()).or_insert_with(|| who.clone());
            prop_assert_eq!(&*known, &who, "both are called {}", key.physical());
            let found = cache.locate_physical(key.physical()).unwrap();
            prop_assert_eq!(found.as_str(), key.physical());
            prop_assert_eq!(found.logical(), key.logical());
            prop_assert_eq!(found.owner(), key.name().owner());
            prop_assert!(key.physical().starts_with("mp7-"));
        }
    }
}

#[test]
fn a_family_that_cannot_be_is_refused_by_name() {
    let refused = |error: FamilyError, says: &str| assert_eq!(error.to_string(), says);
    let mut builder = CacheBuilder::new("1");
    for name in [
        "",
        "note",
        "Note:{id}",
        "note:{id",
        "note::{id}",
        "note:{id} ",
        "note:{}",
        "a{id}",
    ] {
        assert!(
            builder.family(spec::<PerTenant, u64>(name)).is_err(),
            "{name:?}"
        );
    }
    refused(
        builder
            .family(spec::<PerTenant, u64>("note:{a}:{b}"))
            .unwrap_err(),
        "the family name `note:{a}:{b}` has 2 parts, its key type 1",
    );
    builder.family(spec::<PerTenant, u64>("note:{id}")).unwrap();
    refused(
        builder
            .family(spec::<PerInstance, (String, u64)>("{kind}:{id}"))
            .map(drop)
            .unwrap_err(),
        "the families `{kind}:{id}` and `note:{id}` could name the same key",
    );
    builder
        .family(spec::<Everyone, u64>("note:{id}:pdf"))
        .unwrap();
    refused(
        builder
            .family(spec::<Everyone, u64>("a:{id}").jitter(1.0))
            .unwrap_err(),
        "`jitter` of the family `a:{id}` must be at least 0 and below 1",
    );
    refused(
        builder
            .family(spec::<Everyone, u64>("a:{id}").load_max(Default::default()))
            .unwrap_err(),
        "`load_max` of the family `a:{id}` must be above 0",
    );
}

#[test]
fn another_build_shape_or_space_is_another_name() {
    let schema_of = |build: &str, space: &str, name: &str| {
        let mut builder = CacheBuilder::new(build).space(space);
        builder.family(spec::<Everyone, u64>(name)).unwrap();
        builder.memory(MemoryOptions::default()).health().schema
    };
    let schema = |build: &str, name: &str| schema_of(build, "", name);
    assert_eq!(schema("1", "a:{id}"), schema("1", "a:{id}"));
    assert_ne!(schema("1", "a:{id}"), schema("2", "a:{id}"));
    assert_ne!(schema("1", "a:{id}"), schema("1", "b:{id}"));
    assert_ne!(schema("1", "a:{id}"), schema_of("1", "staging", "a:{id}"));
    assert_eq!(
        schema_of("1", "staging", "a-b:{id}"),
        schema_of("1", "staging", "a-b:{id}")
    );
}
