//! A child of the benchmark `ledger` that does not link the ledger: only `offheap` is in this program.
#![forbid(unsafe_code)]

fn main() {
    benches::child::serve();
}
