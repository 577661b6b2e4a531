//! `offheap report`.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use offheap_report::format::Line;
use offheap_report::{Firefox, Html, Json, Perfetto, Pprof, Problem, Sink, Terminal, Trace, follow, visible};

use crate::input::InputError;
use crate::options::{Format, Report};
use crate::{BAD_INPUT, FINE, MEMORY_ERROR, console};

/// At most this many lines that cannot be read are named.
const SHOWN_PROBLEMS: u64 = 20;
/// A file of this size takes long enough for a bar.
const LONG: u64 = 64 << 20;

/// Makes the report, and returns the exit status.
pub(crate) fn report(options: &Report) -> Result<i32, InputError> {
    let mut out = open_output(options)?;
    let cannot_write = |error| InputError::Output { name: output_name(options), error };
    let mut trace = Trace::default();
    let problems = follow_all(options, &mut trace, &mut *sink(options, &mut out)).map_err(cannot_write)?;
    out.flush().map_err(cannot_write)?;
    if problems > SHOWN_PROBLEMS {
        console::error_lines(&format!("offheap: {} further lines are left out", problems - SHOWN_PROBLEMS));
    }
    let is_refused = trace.processes().iter().any(|process| process.refused > 0);
    let has_counted = || trace.processes().iter().any(|process| process.counted_leaks() > 0);
    let has_leaked = || has_counted() || trace.live_stores().any(|store| trace.has_leaked(store));
    Ok(match problems {
        1.. => BAD_INPUT,
        0 if is_refused || has_leaked() => MEMORY_ERROR,
        0 => FINE,
    })
}

/// Each format is one sink.
fn sink<'a>(options: &Report, out: &'a mut dyn Write) -> Box<dyn Sink + 'a> {
    match options.format {
        Format::Terminal => Box::new(Terminal::new(out, options.output.is_none() && wants_colours(&io::stdout()))),
        Format::Html => Box::new(Html::new(out)),
        Format::Perfetto => Box::new(Perfetto::new(out)),
        Format::Firefox => Box::new(Firefox::new(out)),
        Format::Pprof => Box::new(Pprof::new(out)),
        Format::Json => Box::new(Json::new(out)),
    }
}

/// Colours are for people only: <https://no-color.org>.
pub(crate) fn wants_colours(to: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    to.is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

/// Returns the number of problems. Each is told at once, so that nobody waits for it to the end of a long file.
fn follow_all(options: &Report, trace: &mut Trace, sink: &mut dyn Sink) -> io::Result<u64> {
    let mut watch = Watch { sink, lines: 0, problems: 0, bar: ProgressBar::hidden() };
    for (at, file) in options.files.iter().enumerate() {
        let name = file.display().to_string();
        if let Some(same) = options.files[..at].iter().find(|other| *other == file || is_same_file(other, file)) {
            let same = same.display();
            watch.tell(&format!(
                "{name} is {same}, which was read already; name each file once, or its stores count twice"
            ));
            continue;
        }
        let before = (watch.lines, watch.problems);
        if file.as_os_str() == "-" {
            follow(&name, io::stdin().lock(), trace, &mut watch)?;
        } else {
            match open_input(file) {
                Ok(input) => {
                    watch.bar = bar(&name, &input);
                    // Many lines at once, because the bar costs something for each part that is read.
                    let input = BufReader::with_capacity(1 << 18, watch.bar.wrap_read(input));
                    follow(&name, input, trace, &mut watch)?;
                    watch.bar.finish_and_clear();
                }
                Err(error) => {
                    watch.tell(&format!("cannot read {name}: {error}; check the name and the permissions"));
                    continue;
                }
            }
        }
        if before == (watch.lines, watch.problems) {
            let of = if name == "-" { "the standard input" } else { &name };
            watch.tell(&format!("{of} is empty: no ledger wrote to it; check the name"));
        }
    }
    watch.sink.finish(trace)?;
    Ok(watch.problems)
}

/// Counts what goes to a sink, and names the lines that cannot be read.
struct Watch<'a> {
    sink: &'a mut dyn Sink,
    lines: u64,
    problems: u64,
    bar: ProgressBar,
}

impl Watch<'_> {
    fn tell(&mut self, problem: &str) {
        self.problems += 1;
        if self.problems <= SHOWN_PROBLEMS {
            self.bar.suspend(|| console::error_lines(&format!("offheap: {}", visible::line(problem))));
        }
    }
}

impl Sink for Watch<'_> {
    fn line(&mut self, trace: &Trace, line: &Line) -> io::Result<()> {
        self.lines += 1;
        self.sink.line(trace, line)
    }

    fn problem(&mut self, problem: &Problem) -> io::Result<()> {
        self.tell(&problem.to_string());
        self.sink.problem(problem)
    }

    fn finish(&mut self, trace: &Trace) -> io::Result<()> {
        self.sink.finish(trace)
    }
}

fn open_input(name: &Path) -> io::Result<File> {
    let file = File::open(name)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// Shows on the standard error how much of a long file is read, if that is a terminal.
fn bar(name: &str, file: &File) -> ProgressBar {
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    if length < LONG {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left");
    let bar = ProgressBar::new(length).with_message(visible::line(name)).with_finish(ProgressFinish::AndClear);
    bar.with_style(style.expect("the template is right"))
}

fn open_output(options: &Report) -> Result<BufWriter<Box<dyn Write>>, InputError> {
    let out: Box<dyn Write> = match &options.output {
        None if options.format == Format::Pprof && io::stdout().is_terminal() => {
            return Err(InputError::OutputIsTerminal);
        }
        None => Box::new(io::stdout().lock()),
        Some(name) => {
            if options.files.iter().any(|input| is_same_file(input, name)) {
                return Err(InputError::OutputIsInput { name: name.clone() });
            }
            Box::new(create(name)?)
        }
    };
    Ok(BufWriter::new(out))
}

/// Makes the file of a report, or empties it.
pub(crate) fn create(name: &Path) -> Result<File, InputError> {
    File::create(name).map_err(|error| InputError::Output { name: name.display().to_string(), error })
}

fn output_name(options: &Report) -> String {
    options.output.as_ref().map_or("the standard output".to_owned(), |name| name.display().to_string())
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |name: &Path| fs::metadata(name).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    identity(one).is_some_and(|one| identity(other) == Some(one))
}
