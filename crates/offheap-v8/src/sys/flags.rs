//! The flags that `start` gives V8. V8 ends the process for some flags: each of the 986 of V8 15.2 and of the 984 of V8
//! 15.0 was tried, with and without `no-`, and with 0, 1 and -1. Those flags are refused before V8 sees any flag.

use super::stack;
use crate::{ENGINE, Error};

/// The first flag switches immutable buffers on. V8 then enforces them everywhere. V8 15.2 does not interrupt a short
/// loop that it unrolled: `for (;;) all.push(new Array(1000))` ended the process before it could be stopped. The last
/// flag: where an addition only met whole numbers, V8 compiles it for whole numbers, checks each, and converts them back and
/// forth. Over a `Float64Array` of whole numbers, `x => x * 2 + 1` takes five times as long then.
const BEFORE: [&str; 3] =
    ["--js-immutable-arraybuffer", "--no-turboshaft-loop-unrolling", "--no-additive-safe-int-feedback"];

/// Without this flag V8 ends the process if a buffer has 32 GiB (see `counted`).
const AFTER: &str = "--external-memory-max-reasonable-size=0";

/// Flags that end the process with any value.
const REFUSED: [(&str, &str); 10] = [
    ("help", "it prints and ends the process; look flags up in the output of `d8 --help`"),
    ("print-feature-flags-json", "it prints and ends the process; leave it out"),
    ("flag-processing-mode", "with it V8 ends the process for flags that contradict each other; leave it out"),
    ("disallow-developer-only-features", "with it V8 ends the process for other flags; leave it out"),
    ("abort-on-far-code-range", "V8 ends the process if it is not available; leave it out"),
    ("force-memory-protection-keys", "V8 ends the process if it is not available; leave it out"),
    ("homomorphic-ic-count", "V8 ends the process for most numbers; leave it out"),
    ("log-or-trace-osr", "V8 ends the process; name `--trace-osr` or `--log-function-events` instead"),
    ("maglev-break-on-entry", "it is for debuggers, and ends the process without one; leave it out"),
    ("v8-os-page-size", "V8 ends the process for another size than the system's; leave it out"),
];

/// Flags that end the process, or hang it, if their number is less than this.
const LEAST: [(&str, i64); 9] = [
    ("concurrent-recompilation-delay", 0),
    ("gc-memory-reducer-start-delay-ms", 1),
    ("max-valid-polymorphic-map-count", 0),
    ("memory-reducer-delay-ms", 1),
    ("minimum-invocations-after-ic-update", 1),
    ("regexp-tier-up-ticks", 0),
    ("stress-marking", 0),
    ("stress-scavenge", 0),
    ("switch-table-min-cases", 1),
];

/// V8 ends the process for names of 1024 bytes. No flag of V8 is longer than this.
const LONGEST_NAME: usize = 128;

/// Gives V8 our flags and `flags`, which are separated by whitespace. V8 has not been started yet.
pub(super) fn set(flags: &str) -> Result<(), Error> {
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let mut stack_size = None;
    for (index, flag) in flags.iter().enumerate() {
        stack_size = check(flag, flags.get(index + 1).copied())?.or(stack_size);
    }
    give(&BEFORE)?;
    give(&flags)?;
    give(&[AFTER])?;
    if let Some(kib) = stack_size {
        stack::set_size(kib);
    }
    Ok(())
}

fn refused(flag: &str, why: &'static str) -> Error {
    // Keep only a readable part of the flag.
    let flag = flag.chars().take(LONGEST_NAME).collect();
    Error::Flag { engine: ENGINE, flag, why }
}

/// Checks a flag. If it is the size of the stack, returns the size in KiB. `next` is the value if the flag contains
/// none.
fn check(flag: &str, next: Option<&str>) -> Result<Option<usize>, Error> {
    if flag.contains('\0') {
        return Err(refused(flag, "a NUL would end it early"));
    }
    let Some(Named { name, is_negated, value }) = Named::of(flag) else { return Ok(None) };
    if name.len() > LONGEST_NAME {
        return Err(refused(flag, "it is longer than any flag of V8"));
    }
    let is_value_given = value.is_some();
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name)
        && (!is_negated || is_value_given)
    {
        return Err(refused(flag, why));
    }
    let number = || value.or(next).and_then(|value| value.parse::<i64>().ok());
    if let Some((_, least)) = LEAST.iter().find(|(limited, _)| *limited == name)
        && number().is_none_or(|number| number < *least)
    {
        return Err(refused(flag, "V8 ends the process for this number; give a larger one"));
    }
    if name != "stack-size" {
        return Ok(None);
    }
    let kib = number().and_then(|kib| usize::try_from(kib).ok());
    kib.map(Some).ok_or_else(|| refused(flag, "it takes a number of KiB"))
}

/// A flag, split as V8 splits it.
struct Named<'a> {
    name: String,
    is_negated: bool,
    value: Option<&'a str>,
}

impl<'a> Named<'a> {
    fn of(flag: &'a str) -> Option<Self> {
        let flag = flag.strip_prefix('-')?;
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        let (flag, value) = flag.split_once('=').map_or((flag, None), |(flag, value)| (flag, Some(value)));
        let name = flag.replace('_', "-");
        let positive = name.strip_prefix("no").map(|positive| positive.strip_prefix('-').unwrap_or(positive));
        let is_negated = positive.is_some();
        let name = positive.map(str::to_owned).unwrap_or(name);
        Some(Named { name, is_negated, value })
    }
}

/// V8 gives back the name of the program, followed by the flags that it does not know.
fn give(flags: &[&str]) -> Result<(), Error> {
    let arguments = ["offheap"].iter().chain(flags).map(|&argument| argument.to_owned()).collect();
    match v8::V8::set_flags_from_command_line(arguments).get(1) {
        None => Ok(()),
        Some(unknown) => Err(refused(unknown, "V8 does not understand it; look it up in the output of `d8 --help`")),
    }
}
