//! `Capabilities`: the abilities that engines differ in.

use std::fmt;

bitflags::bitflags! {
    /// A set of abilities that engines differ in: those that an engine has, that a test needs, or that are missing.
    ///
    /// A call that needs an ability the engine does not have returns [`Error::Unsupported`](crate::Error::Unsupported).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Capabilities: u16 {
        /// Runs script.
        const SCRIPT = 1 << 0;
        /// Makes resizable buffers.
        const RESIZABLE = 1 << 1;
        /// Keeps script from writing to immutable buffers, so read-only memory can be exposed without a copy.
        const IMMUTABLE = 1 << 2;
        /// Has detach keys.
        const DETACH_KEYS = 1 << 3;
        /// Has SharedArrayBuffers. They are growable if the engine has resizable buffers.
        const SHARED = 1 << 4;
        /// Has `WebAssembly`.
        const WASM = 1 << 5;
        /// Can collect young objects without collecting old ones.
        const GENERATIONS = 1 << 6;
    }
}

impl fmt::Display for Capabilities {
    /// The names in lower case: `script, detach_keys`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, _)) in self.iter_names().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", name.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_displayed_as_names_in_lower_case() {
        assert_eq!((Capabilities::DETACH_KEYS | Capabilities::SCRIPT).to_string(), "script, detach_keys");
        assert_eq!(Capabilities::empty().to_string(), "");
    }
}
