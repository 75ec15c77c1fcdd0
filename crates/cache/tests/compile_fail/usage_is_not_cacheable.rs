//! Counters and billing change while they are read; they have no family.
use cache::{FamilySpec, PerTenant, SizeClass, Ttl};

struct Usage {
    _calls: u64,
}

fn main() {
    let ttl = Ttl::<Usage>::fixed(std::time::Duration::from_secs(1));
    let _ = FamilySpec::<PerTenant, u64, Usage>::new("usage:{id}", "usage", ttl, SizeClass::Small);
}
