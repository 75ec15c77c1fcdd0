//! No family without a loader, a TTL and a size class.
use cache::{Body, FamilySpec, PerTenant};

fn main() {
    let _ = FamilySpec::<PerTenant, u64, Body>::new("note:{id}");
}
