//! Places in a program: a line of Rust or a line of script.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// The place in a program that created, exposed or freed a store.
///
/// Sites are `Copy` and cost one pointer in a store's control block.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Site {
    /// A line of Rust, recorded with `#[track_caller]`.
    Native(&'static Location<'static>),
    /// A line of script, recorded by an adapter.
    Script(&'static ScriptPlace),
}

/// A place in a script: a file, a line and a column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScriptPlace {
    file: &'static str,
    line: u32,
    column: u32,
}

impl ScriptPlace {
    /// The name of the file, as the program gave it to the engine.
    pub fn file(&self) -> &str {
        self.file
    }

    /// The line, counted from 1; 0 if the engine did not report it.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The column, counted from 1; 0 if the engine did not report it.
    pub fn column(&self) -> u32 {
        self.column
    }
}

thread_local! {
    static CALLER: Cell<Option<Site>> = const { Cell::new(None) };
}

impl Site {
    /// The caller of the nearest function without `#[track_caller]`, or of
    /// [`adapter::on_behalf_of_caller`](crate::adapter::on_behalf_of_caller).
    ///
    /// `value.try_into()` records a place in std, whose `try_into` has no `#[track_caller]`. `Type::try_from(value)`
    /// records yours.
    #[track_caller]
    #[inline]
    pub fn here() -> Site {
        CALLER.get().unwrap_or(Site::Native(Location::caller()))
    }
}

/// Calls `run`. Every place in Rust that this thread records during the call is that of this function's caller.
///
/// It is for a function of an adapter that calls the recording function through a closure or a trait object, which
/// `#[track_caller]` does not see through. `run` must not run a user's code, whose own places would be lost.
#[track_caller]
pub fn on_behalf_of_caller<R>(run: impl FnOnce() -> R) -> R {
    let _caller = OnBehalfOf::enter_caller();
    run()
}

/// Calls `run`. Every place that this thread records during the call is `site`.
///
/// It is for native functions of script: what they make was made by a line of script. `run` must not run a user's code, whose
/// own places would be lost.
pub fn on_behalf_of<R>(site: Site, run: impl FnOnce() -> R) -> R {
    let _caller = OnBehalfOf::enter(site);
    run()
}

/// While it lives, every place that its thread records is the one that it was given.
pub(crate) struct OnBehalfOf {
    outer: Option<Site>,
    // Not `Send`: it is dropped on the thread that made it.
    thread: PhantomData<*const ()>,
}

impl OnBehalfOf {
    #[inline]
    fn enter(site: Site) -> Self {
        let outer = CALLER.get();
        CALLER.set(outer.or(Some(site)));
        OnBehalfOf { outer, thread: PhantomData }
    }

    /// The place is that of the caller.
    #[track_caller]
    #[inline]
    pub(crate) fn enter_caller() -> Self {
        Self::enter(Site::Native(Location::caller()))
    }
}

impl Drop for OnBehalfOf {
    #[inline]
    fn drop(&mut self) {
        CALLER.set(self.outer);
    }
}

/// A place in a script.
///
/// Each distinct place is kept once, for the life of the process: there are as many as the script has call sites, however
/// often they run. Script can make code with any number of names (`sourceURL`), so a name is kept up to 256 bytes, all
/// names up to 64 KiB, and at most 16,384 places. A script beyond these limits is named `(other scripts)`, with its own line
/// and column while there is room for places; where there is no memory, the name is `(out of memory)`. Control characters in
/// a name are escaped.
pub fn script_site(file: &str, line: u32, column: u32) -> Site {
    static UNKNOWN: ScriptPlace = ScriptPlace { file: "(out of memory)", line: 0, column: 0 };
    Site::Script(Places::keep(file, line, column).unwrap_or(&UNKNOWN))
}

/// The name of a function of script, kept up to the limits of [`script_site`]; empty beyond them.
pub(crate) fn kept_function(name: &str) -> &'static str {
    if name.is_empty() { "" } else { Places::keep_function(name).unwrap_or_default() }
}

/// The name for scripts whose own name is not kept.
const OTHER: &str = "(other scripts)";
static OTHER_PLACE: ScriptPlace = ScriptPlace { file: OTHER, line: 0, column: 0 };
const LONGEST_NAME: usize = 256;
const MOST_NAME_BYTES: usize = 64 << 10;
const MOST_PLACES: usize = 16 << 10;

#[derive(Default)]
struct Places {
    files: Names,
    functions: Names,
    places: HashMap<(&'static str, u32, u32), &'static ScriptPlace>,
}

/// Names that are kept once each.
#[derive(Default)]
struct Names {
    known: HashSet<&'static str>,
    bytes: usize,
}

impl Places {
    fn lock() -> MutexGuard<'static, Places> {
        static PLACES: LazyLock<Mutex<Places>> = LazyLock::new(Mutex::default);
        PLACES.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kept name of a function; `None` if there is no room for it.
    fn keep_function(function: &str) -> Option<&'static str> {
        Self::lock().functions.keep(function, "")
    }

    /// The kept place; `None` if there is no memory to keep it.
    fn keep(file: &str, line: u32, column: u32) -> Option<&'static ScriptPlace> {
        let mut places = Self::lock();
        let file = places.files.keep(file, OTHER)?;
        if let Some(known) = places.places.get(&(file, line, column)) {
            return Some(known);
        }
        if places.places.len() >= MOST_PLACES {
            return Some(&OTHER_PLACE);
        }
        places.places.try_reserve(1).ok()?;
        let mut place = Vec::new();
        place.try_reserve_exact(1).ok()?;
        place.push(ScriptPlace { file, line, column });
        let [place] = place.leak() else { unreachable!("one was pushed") };
        places.places.insert((file, line, column), place);
        Some(place)
    }
}

impl Names {
    /// The kept name, or `other` if there are too many; `None` if there is no memory to keep it.
    fn keep(&mut self, name: &str, other: &'static str) -> Option<&'static str> {
        let shown = visible(name)?;
        if let Some(known) = self.known.get(&*shown) {
            return Some(known);
        }
        if shown.len() > MOST_NAME_BYTES - self.bytes {
            return Some(other);
        }
        self.known.try_reserve(1).ok()?;
        let mut name = String::new();
        name.try_reserve_exact(shown.len()).ok()?;
        name.push_str(&shown);
        let name: &'static str = name.leak();
        self.bytes += name.len();
        self.known.insert(name);
        Some(name)
    }
}

/// A name as it is kept: the end of a long name, with control characters escaped. `None` if there is no memory.
fn visible(file: &str) -> Option<Cow<'_, str>> {
    if file.len() <= LONGEST_NAME && !file.contains(char::is_control) {
        return Some(Cow::Borrowed(file));
    }
    let from = file.len().saturating_sub(LONGEST_NAME);
    let end = (from..).find_map(|from| file.get(from..)).unwrap_or_default();
    // An escape, `\u{7f}`, has at most six bytes.
    let mut shown = String::new();
    shown.try_reserve_exact("...".len() + 6 * end.len()).ok()?;
    shown.push_str(if from == 0 { "" } else { "..." });
    for character in end.chars() {
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    Some(Cow::Owned(shown))
}

impl Site {
    /// The file, line and column. A number that is not known is 0.
    pub(crate) fn parts(self) -> (&'static str, u32, u32) {
        match self {
            Site::Native(place) => (place.file(), place.line(), place.column()),
            Site::Script(place) => (place.file, place.line, place.column),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Site::Native(place) => write!(f, "{}:{}:{}", place.file(), place.line(), place.column()),
            Site::Script(place) => match (place.line, place.column) {
                (0, _) => f.write_str(place.file),
                (line, 0) => write!(f, "{}:{line}", place.file),
                (line, column) => write!(f, "{}:{line}:{column}", place.file),
            },
        }
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Site({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_place_is_kept_once() {
        let first = script_site("a.js", 3, 7);
        let second = script_site("a.js", 3, 7);
        let (Site::Script(a), Site::Script(b)) = (first, second) else { panic!("not script places") };
        assert!(std::ptr::eq(a, b));
        assert_eq!(first.to_string(), "a.js:3:7");
        assert_ne!(first, script_site("a.js", 3, 8));
    }

    #[test]
    fn a_name_of_script_s_is_kept_short_and_escaped() {
        let long = format!("{}ü/a.js", "x".repeat(1000));
        let shown = script_site(&long, 1, 2).to_string();
        assert!(shown.starts_with("...x") && shown.ends_with("xü/a.js:1:2"), "{shown}");
        assert!(shown.len() <= 3 + LONGEST_NAME + ":1:2".len(), "{shown}");
        assert_eq!(script_site("a\n\u{1b}[2J.js", 1, 2).to_string(), "a\\n\\u{1b}[2J.js:1:2");
    }

    #[test]
    fn a_native_place_is_the_callers_line() {
        let line = line!() + 1;
        let site = Site::here();
        assert!(site.to_string().contains(&format!("site.rs:{line}:")), "{site}");
    }
}
