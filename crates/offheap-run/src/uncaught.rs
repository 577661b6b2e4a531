//! What the run of a script ended with.

use std::fmt;

/// Why a script failed: a value that it threw and did not catch, a promise that was rejected and that nothing handled,
/// a full heap, another thread that terminated it, or an `await` that never ended.
///
/// Its text says what happened in the first line; the others are the stack, where there is one. What a terminal would
/// obey is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncaught {
    text: String,
}

impl fmt::Display for Uncaught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Uncaught {}

#[cfg(any(feature = "quickjs", feature = "v8"))]
impl Uncaught {
    /// A value that was thrown, which `description` describes.
    pub(crate) fn thrown(description: &str) -> Self {
        Uncaught { text: format!("uncaught {description}") }
    }

    /// A value that was thrown and that nothing can describe.
    pub(crate) fn indescribable() -> Self {
        Self::thrown("an error that cannot be described; the engine may be out of memory")
    }

    /// A module that waits for ever.
    pub(crate) fn never_ended() -> Self {
        Uncaught { text: "a top-level await never ended: nothing is left to run that could end it".to_owned() }
    }

    /// A script that V8 stopped: because its heap is full, or because another thread terminated it.
    #[cfg(feature = "v8")]
    pub(crate) fn stopped(heap_is_full: bool) -> Self {
        let text = match heap_is_full {
            true => {
                "out of memory: V8's heap is full; keep fewer objects, or their bytes in buffers, native memory or a \
                 mapped file"
            }
            false => "execution was terminated",
        };
        Uncaught { text: text.to_owned() }
    }
}
