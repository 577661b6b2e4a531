//! Where in a program something happened: a line of Rust or a line of script.

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::{Mutex, PoisonError};

/// A place in a program: what created, exposed or freed a store.
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

/// A place in a script: the file as the engine names it, and its line and column, both counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScriptPlace {
    file: &'static str,
    line: u32,
    column: u32,
}

impl ScriptPlace {
    /// The file, as it was named to the engine.
    pub fn file(&self) -> &str {
        self.file
    }

    /// The line, counted from 1; 0 where the engine did not tell.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The column, counted from 1; 0 where the engine did not tell.
    pub fn column(&self) -> u32 {
        self.column
    }
}

impl Site {
    /// The place in Rust that called the nearest function without `#[track_caller]`.
    #[track_caller]
    #[inline]
    pub fn here() -> Site {
        Site::Native(Location::caller())
    }

    /// A place in a script.
    ///
    /// Each distinct place is kept for the life of the process, once: there are as many as a script has calls, not as
    /// many as it makes. Where there is no memory to keep one, the site is that of no file: `(out of memory)`.
    pub fn script(file: &str, line: u32, column: u32) -> Site {
        static UNKNOWN: ScriptPlace = ScriptPlace { file: "(out of memory)", line: 0, column: 0 };
        Site::Script(ScriptPlace::kept(file, line, column).unwrap_or(&UNKNOWN))
    }
}

impl ScriptPlace {
    fn kept(file: &str, line: u32, column: u32) -> Option<&'static ScriptPlace> {
        type Places = HashMap<(&'static str, u32, u32), &'static ScriptPlace>;
        static PLACES: Mutex<Option<Places>> = Mutex::new(None);
        let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        let places = places.get_or_insert_default();
        if let Some(known) = places.get(&(file, line, column)) {
            return Some(known);
        }
        places.try_reserve(1).ok()?;
        let mut place = Vec::new();
        place.try_reserve_exact(1).ok()?;
        let mut name = String::new();
        name.try_reserve_exact(file.len()).ok()?;
        name.push_str(file);
        let file: &'static str = name.leak();
        place.push(ScriptPlace { file, line, column });
        let [place] = place.leak() else { unreachable!("one was pushed") };
        places.insert((file, line, column), place);
        Some(place)
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
        let first = Site::script("a.js", 3, 7);
        let second = Site::script("a.js", 3, 7);
        let (Site::Script(a), Site::Script(b)) = (first, second) else { panic!("not script places") };
        assert!(std::ptr::eq(a, b));
        assert_eq!(first.to_string(), "a.js:3:7");
        assert_ne!(first, Site::script("a.js", 3, 8));
    }

    #[test]
    fn a_native_place_is_the_callers_line() {
        let line = line!() + 1;
        let site = Site::here();
        assert!(site.to_string().contains(&format!("site.rs:{line}:")), "{site}");
    }
}
