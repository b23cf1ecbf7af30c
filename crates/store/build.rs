//! Migrations are compiled in, so a new one must cause a new build.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
