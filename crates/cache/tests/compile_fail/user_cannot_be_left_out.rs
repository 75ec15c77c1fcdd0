use cache::{Tenant, User};

fn main() {
    let _ = User { tenant: Tenant("acme") };
}
