//! Compiles the library that `offheap audit` preloads, so that the command carries it: cargo gives no crate the library of
//! another one. `crates/offheap-audit` has no dependencies, so this is one call of rustc, which takes a few seconds.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(offheap_audit)");
    println!("cargo::rerun-if-changed=../offheap-audit/src");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let target = ["OS", "ARCH", "ENV"].map(|part| variable(&format!("CARGO_CFG_TARGET_{part}")));
    if target != ["linux", "x86_64", "gnu"] {
        return; // `offheap audit` says so
    }
    let library = PathBuf::from(variable("OUT_DIR")).join("liboffheap_audit.so");
    let mut rustc = Command::new(env::var_os("RUSTC").expect("cargo sets it"));
    rustc.args(["--crate-name", "offheap_audit", "--crate-type", "cdylib", "--edition", "2024"]);
    rustc.args(["-C", "opt-level=3", "-C", "codegen-units=1", "-C", "panic=abort", "-C", "strip=symbols"]);
    rustc.args(["--cap-lints", "allow", "--target", &variable("TARGET")]);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={}", linker.display()));
    }
    rustc.arg("-o").arg(&library).arg("../offheap-audit/src/lib.rs");
    let status = rustc.status().expect("rustc starts");
    assert!(status.success(), "rustc cannot compile crates/offheap-audit");
    println!("cargo::rustc-env=OFFHEAP_AUDIT_LIBRARY={}", library.display());
    println!("cargo::rustc-cfg=offheap_audit");
}
