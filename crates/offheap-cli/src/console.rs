//! The command's own lines.

use std::io::{self, Write};

use offheap_report::visible;
use offheap_run::Stream;

/// Writes lines to the standard error, as far as that is possible. Names and messages in them are escaped where they
/// would do something to a terminal; what script prints is not, and does not come here.
pub(crate) fn error_lines(text: &str) {
    // Where this fails there is nobody left to tell.
    let _ = Stream::Error.write_line(&visible::lines(text));
}

/// The standard error, for a report. Where it is closed there is nobody left to tell, so that is no error.
pub(crate) struct Errors;

impl Write for Errors {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
