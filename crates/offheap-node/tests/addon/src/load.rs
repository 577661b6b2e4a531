//! The decision at load, for the scenarios.

use napi::Env;
use napi_derive::napi;

/// The decision at load, for programs.
#[napi(object)]
pub struct Decision {
    /// `stores`, `external` or `copy`
    pub mode: String,
    /// `Node`, `Deno` or `Bun`
    pub host: String,
    /// The word for the kind of reason.
    pub code: String,
    /// What `OFFHEAP_NODE` asks for in vain.
    pub refused: Option<String>,
    /// All of it, as text.
    pub text: String,
    /// How long the call took, in microseconds.
    pub microseconds: f64,
}

/// The decision at load.
#[napi]
pub fn decision(env: Env) -> Decision {
    let begin = std::time::Instant::now();
    let decision = offheap_node::mode(&env);
    let microseconds = begin.elapsed().as_secs_f64() * 1e6;
    Decision {
        mode: decision.mode().to_string(),
        host: decision.host().to_string(),
        code: decision.reason().code().to_owned(),
        refused: decision.refused().map(|asked| asked.to_string_lossy().into_owned()),
        text: decision.to_string(),
        microseconds,
    }
}

/// Throws, and then asks for the decision.
#[napi]
pub fn decision_while_throwing(env: Env) {
    let _ = env.throw_error("thrown before", None);
    offheap_node::mode(&env);
}
