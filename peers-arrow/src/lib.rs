//! `cargo bench --manifest-path peers-arrow/Cargo.toml` compares functions of `offheap-arrow` with those of arrow-udf-runtime, and
//! with Arrow's own kernels.
#![forbid(unsafe_code)]
