//! A key comes out of its family and nowhere else.
use cache::{Body, Key};

fn main() {
    let _ = Key::<Body> { name: "opp:notes:42".into() };
}
