//! An extension module finds Python's symbols in the process that loads it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Linux allows that for every shared library, macOS only when asked.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("macos") {
        println!("cargo:rustc-cdylib-link-arg=-undefined");
        println!("cargo:rustc-cdylib-link-arg=dynamic_lookup");
    }
}
