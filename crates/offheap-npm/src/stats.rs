//! What is counted without a ledger.

use napi::Env;
use napi_derive::napi;
use offheap_node::offheap::observe;
use offheap_node::{mode, stats as node_stats};

/// How buffers are made in this process, and what lives.
#[napi(object, object_from_js = false)]
pub struct Stats {
    /// `stores`, `external` or `copy`.
    pub mode: String,
    /// `Node`, `Deno` or `Bun`.
    pub host: String,
    /// Why it is this mode, in one word.
    pub reason: String,
    /// The mode and the reason in words.
    pub message: String,
    /// How many stores live.
    pub live_stores: f64,
    /// Their bytes.
    pub live_bytes: f64,
    /// How many stores were made.
    pub stores_made: f64,
    /// How many stores could not be freed.
    pub leaked_stores: f64,
    /// Their bytes.
    pub leaked_bytes: f64,
}

/// Begins to count stores. Nothing is counted twice if it is called again.
#[napi]
pub fn start_counting() {
    observe::start_counting();
}

/// What lives now.
#[napi]
pub fn stats(env: &Env) -> Stats {
    offheap_node::release_collected();
    let (decision, totals, leaked) = (mode(env), observe::totals(), node_stats());
    Stats {
        mode: decision.mode().name().to_owned(),
        host: decision.host().to_string(),
        reason: decision.reason().code().to_owned(),
        message: decision.to_string(),
        live_stores: totals.live_stores() as f64,
        live_bytes: totals.live_bytes() as f64,
        stores_made: totals.stores_made as f64,
        leaked_stores: leaked.leaked_stores as f64,
        leaked_bytes: leaked.leaked_bytes as f64,
    }
}
