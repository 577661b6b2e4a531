//! The names of frames, from the program's debug information.

use offheap_report::format::Frame;

/// The frames of these return addresses, the innermost first: several for one address where functions are inlined. Frames of
/// the recording itself, at the start, are left out.
pub(crate) fn resolve(addresses: &[usize]) -> Vec<Frame> {
    let mut frames = Vec::new();
    for &address in addresses {
        let before = frames.len();
        // The call is before the place to which it returns.
        backtrace::resolve((address - 1) as *mut _, |symbol| {
            let function = symbol.name().map(|name| format!("{name:#}"));
            let site = symbol.filename().map(|file| match (symbol.lineno(), symbol.colno()) {
                (Some(line), Some(column)) => format!("{}:{line}:{column}", file.display()),
                (Some(line), None) => format!("{}:{line}", file.display()),
                (None, _) => file.display().to_string(),
            });
            frames.push(Frame { function, site, address: None });
        });
        if frames.len() == before {
            frames.push(Frame { address: Some(address as u64), ..Frame::default() });
        }
    }
    let is_own = |frame: &Frame| frame.function.as_deref().is_some_and(is_of_recording);
    // Helpers of std between two of our own frames go too.
    let own = frames.iter().take(16).rposition(is_own).map_or(0, |last| last + 1);
    // A program that consists of such frames, a test of the ledger for example, keeps them.
    if own < frames.len() {
        frames.drain(..own);
    }
    frames
}

/// Whether a function is of the ledger's or the core's way from an event to its record.
fn is_of_recording(function: &str) -> bool {
    [
        "offheap_ledger::observe::",
        "<offheap_ledger::ledger::Ledger as offheap::observe::",
        "offheap_ledger::stack::",
        "offheap::observe::",
    ]
    .iter()
    .any(|start| function.starts_with(start))
}
