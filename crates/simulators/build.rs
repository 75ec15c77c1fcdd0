//! Packs the shipped orders once, when the crate is built.

#[path = "build/orders.rs"]
mod orders;
#[path = "src/cin7/data/table.rs"]
mod table;

use std::path::PathBuf;
use std::{env, fs};

const ORDERS: &str = "data/online-retail.csv.gz";

fn main() {
    println!("cargo:rerun-if-changed={ORDERS}");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build/orders.rs");
    println!("cargo:rerun-if-changed=src/cin7/data/table.rs");
    let packed = fs::read(ORDERS)
        .map_err(|error| error.to_string())
        .and_then(|file| orders::parse(&file).map_err(str::to_owned))
        .map(|orders| orders::pack(&orders))
        .unwrap_or_else(|what| panic!("{ORDERS} {what}"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write"));
    fs::write(out.join("orders.bin"), packed).expect("the orders are written");
}
