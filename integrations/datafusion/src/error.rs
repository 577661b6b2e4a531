//! What goes wrong when a function is made or run.

use std::fmt;

use datafusion::common::DataFusionError;

/// Why a JavaScript function could not be made, or a batch of rows not be computed. Every error names the function.
///
/// It comes as a [`DataFusionError::External`], from which it can be cast back.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text has a mistake, script threw, or returned what is not of the declared type.
    #[error(transparent)]
    Function(#[from] offheap_arrow::Error),
    /// An aggregate without parameters: DataFusion would not say how many rows there are.
    #[error("JavaScript function {function}: an aggregate needs a parameter; a constant such as 1 is enough in a call")]
    NoParameter {
        /// The name of the function.
        function: String,
    },
    /// The function ran longer than it may for one batch, or its text ran longer than that when it was compiled. The thread
    /// gets a new isolate.
    #[error("JavaScript function {function}: stopped, since it ran longer than {time_limit_ms} ms (js.time_limit_ms)")]
    TimeLimit {
        /// The name of the function.
        function: String,
        /// The limit that the query had.
        time_limit_ms: u64,
    },
    /// V8's heap became larger than it may be in one thread. The thread gets a new isolate.
    #[error(
        "JavaScript function {function}: stopped, since it needs more than {heap_limit_mb} MiB of heap (js.heap_limit_mb)"
    )]
    HeapLimit {
        /// The name of the function.
        function: String,
        /// The limit that the query had.
        heap_limit_mb: usize,
    },
    /// Script wanted an ArrayBuffer for which the limit leaves no memory, and did not catch V8's RangeError; or the lists or
    /// bytes of a batch of results, which are collected in ArrayBuffers, need more.
    #[error("{source}; script's ArrayBuffers may have {buffer_limit_mb} MiB (js.buffer_limit_mb)")]
    BufferLimit {
        /// What happened, with the place or the row. It names the function.
        source: Box<offheap_arrow::Error>,
        /// The limit that the query had.
        buffer_limit_mb: usize,
    },
    /// The columns of a batch are larger than one call takes. The session sets how many rows a batch has.
    #[error("{source} (datafusion.execution.batch_size)")]
    BatchTooLarge {
        /// What is too large. It names the function.
        source: Box<offheap_arrow::Error>,
    },
    /// This thread cannot have an isolate.
    #[error("JavaScript function {function}: {source}")]
    Isolate {
        /// The name of the function.
        function: String,
        /// Why. For a thread that is older than V8, it says what the program has to call first.
        source: offheap_v8::Error,
    },
    /// The system has no thread for the watchdog.
    #[error("JavaScript function {function}: no thread could be made that watches the time: {source}")]
    Watchdog {
        /// The name of the function.
        function: String,
        /// The system's error.
        source: std::io::Error,
    },
}

// Ballista tells a client the `Debug` of an error that happened on another machine.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}
