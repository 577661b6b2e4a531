//! `offheap audit`: runs a program with a library that follows the external buffers of its addons.

mod child;
mod stream;
mod summary;

use std::path::PathBuf;

use crate::input::InputError;
use crate::options::{Audit, Format, Report};
use crate::{BAD_INPUT, MEMORY_ERROR, console, report};
use child::Child;
use stream::Stream;

/// Runs the program, tells what was seen, and returns the exit status.
pub(crate) fn audit(options: &Audit) -> Result<i32, InputError> {
    let library = child::library()?;
    // The files are made at once, so that a name that is wrong is told before the program runs.
    let stream = match &options.output {
        Some(name) => Stream::create(name)?,
        None => Stream::temporary().map_err(InputError::Audit)?,
    };
    if let Some(page) = &options.report {
        check_page(page, options)?;
        report::create(page)?;
    }
    let ended = Child::start(options, &library, &stream)?.wait().map_err(InputError::Audit)?;
    let summary = summary::of(&stream, &ended).map_err(InputError::Audit)?;
    console::error_lines(&summary.text);
    if let Some(page) = &options.report {
        let options =
            Report { format: Format::Html, output: Some(page.clone()), files: vec![stream.path().to_owned()] };
        if report::report(&options)? == BAD_INPUT {
            return Ok(BAD_INPUT);
        }
    }
    Ok(if summary.has_errors { MEMORY_ERROR } else { ended.status })
}

fn check_page(page: &PathBuf, options: &Audit) -> Result<(), InputError> {
    if page.extension().is_none_or(|extension| extension != "html") {
        return Err(InputError::PageName { given: page.clone() });
    }
    match options.output.as_ref() == Some(page) {
        true => Err(InputError::OutputIsInput { name: page.clone() }),
        false => Ok(()),
    }
}
