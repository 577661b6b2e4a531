//! What keeps a buffer alive: handles of Rust, and a path of objects that script can reach.

use std::fmt::{self, Write};

use offheap::observe::Event;
use offheap::{BackingStore, StoreId};

use crate::Rooted;

/// What keeps a buffer alive in its isolate: [`Scope::retainers`](crate::Scope::retainers).
///
/// `Display` gives one line: `globalThis.frames[3].pixels, and 2 handles of Rust`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retainers {
    /// The number of [`Handle`](crate::Handle)s of Rust that keep the buffer, or a view of it.
    pub handles: usize,
    /// A path from a root of script to the buffer: one with few steps, if there are several. `None` if there is none, or if
    /// the engine cannot tell.
    pub path: Option<RetainingPath>,
    /// What may keep the buffer without being seen; `None` if the engine sees everything.
    pub unseen: Option<&'static str>,
}

impl Retainers {
    /// For adapters.
    pub fn new(handles: usize, path: Option<RetainingPath>, unseen: Option<&'static str>) -> Self {
        Retainers { handles, path, unseen }
    }
}

impl fmt::Display for Retainers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handles = match self.handles {
            1 => "1 handle of Rust".to_owned(),
            count => format!("{count} handles of Rust"),
        };
        match (&self.path, self.handles, self.unseen) {
            (Some(path), 0, _) => path.fmt(f),
            (Some(path), ..) => write!(f, "{path}, and {handles}"),
            (None, 0, None) => f.write_str("nothing: it waits for a collection"),
            (None, 0, Some(unseen)) => write!(f, "nothing that can be seen: {unseen}"),
            (None, _, None) => write!(f, "only {handles}"),
            (None, _, Some(unseen)) => write!(f, "{handles}, and perhaps what cannot be seen: {unseen}"),
        }
    }
}

/// The objects between a root and a buffer. `Display` writes them like an expression of script, where there is one:
/// `globalThis.frames[3].pixels`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainingPath {
    root: String,
    steps: Vec<PathStep>,
}

/// A step from an object to an object that it keeps alive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathStep {
    /// A property with this name.
    Property(String),
    /// An element of an array.
    Element(u64),
    /// A variable that a function has captured: `x` in `() => x`.
    Variable(String),
    /// Something that is neither, in words: `value of "a" in the Map`.
    Other(String),
}

/// At most so many steps are shown at each end of a path.
const STEPS_SHOWN: usize = 16;
/// A longer name is cut where it is shown.
const LONGEST_NAME: usize = 80;

impl RetainingPath {
    /// A path from a root: `globalThis`, the name of a variable, or words. For adapters.
    pub fn new(root: impl Into<String>, steps: Vec<PathStep>) -> Self {
        RetainingPath { root: root.into(), steps }
    }

    /// Where the path begins: `globalThis`, the name of a variable of script, or words for a root that has none.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The root and the steps as texts, for `Ledger::note_path` of `offheap-ledger`: `["globalThis", "frames", "[3]"]`.
    pub fn to_texts(&self) -> Vec<String> {
        let step = |step: &PathStep| {
            let text = step.to_string();
            text.trim_start_matches(['.', ' ']).to_owned()
        };
        std::iter::once(self.root.clone()).chain(self.steps.iter().map(step)).collect()
    }

    /// The steps from the root to the buffer, in this order.
    pub fn steps(&self) -> &[PathStep] {
        &self.steps
    }
}

impl fmt::Display for RetainingPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, &self.root)?;
        let left_out = self.steps.len().saturating_sub(2 * STEPS_SHOWN);
        if left_out == 0 {
            return self.steps.iter().try_for_each(|step| step.fmt(f));
        }
        self.steps[..STEPS_SHOWN].iter().try_for_each(|step| step.fmt(f))?;
        write!(f, " ({left_out} more steps)")?;
        self.steps[STEPS_SHOWN + left_out..].iter().try_for_each(|step| step.fmt(f))
    }
}

impl fmt::Display for PathStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathStep::Property(name) if is_identifier(name) => {
                f.write_char('.')?;
                write_name(f, name)
            }
            PathStep::Property(name) => {
                f.write_str("[\"")?;
                write_name(f, name)?;
                f.write_str("\"]")
            }
            PathStep::Element(index) => write!(f, "[{index}]"),
            PathStep::Variable(name) => {
                f.write_str(" (variable ")?;
                write_name(f, name)?;
                f.write_char(')')
            }
            PathStep::Other(words) => {
                f.write_str(" (")?;
                write_name(f, words)?;
                f.write_char(')')
            }
        }
    }
}

/// Whether a name may follow a point: an identifier, or the name of a private field.
fn is_identifier(name: &str) -> bool {
    let name = name.strip_prefix('#').unwrap_or(name);
    let starts = name.starts_with(|first: char| first.is_alphabetic() || first == '_' || first == '$');
    starts && name.chars().all(|character| character.is_alphanumeric() || character == '_' || character == '$')
}

/// Writes a name that script chose: cut if it is long, and without control characters.
fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    for character in name.chars().take(LONGEST_NAME) {
        match character.is_control() {
            true => write!(f, "{}", character.escape_default())?,
            false => f.write_char(character)?,
        }
    }
    if name.chars().nth(LONGEST_NAME).is_some() { f.write_str("...") } else { Ok(()) }
}

/// The memory of a store, whose buffers [`Scope::retainers_of`](crate::Scope::retainers_of) looks for.
///
/// No reference to the store is needed, only what an [`Event`] of it said. A store that was freed has no buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoughtStore {
    /// The id of the store.
    pub store: StoreId,
    /// The address of its first byte, which is not read.
    pub address: usize,
}

impl From<&BackingStore> for SoughtStore {
    fn from(store: &BackingStore) -> Self {
        SoughtStore { store: store.id(), address: store.as_ptr().addr() }
    }
}

impl From<&Event> for SoughtStore {
    fn from(event: &Event) -> Self {
        SoughtStore { store: event.store, address: event.address }
    }
}

/// What [`Host::retainers`](crate::Host::retainers) looks for. For adapters.
pub enum Sought<'a, R> {
    /// A buffer, or the buffer of a view.
    Object(Rooted<'a, R>),
    /// All buffers over a store, of which any may be found.
    Store(SoughtStore),
}

impl<R> Clone for Sought<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Sought<'_, R> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(steps: Vec<PathStep>) -> RetainingPath {
        RetainingPath::new("globalThis", steps)
    }

    #[test]
    fn a_path_reads_like_script_where_it_can() {
        let steps = vec![
            PathStep::Property("frames".into()),
            PathStep::Element(3),
            PathStep::Property("a b\n".into()),
            PathStep::Property("#pixels".into()),
            PathStep::Variable("x".into()),
            PathStep::Other("value of 7 in the Map".into()),
        ];
        let shown = "globalThis.frames[3][\"a b\\n\"].#pixels (variable x) (value of 7 in the Map)";
        assert_eq!(path(steps.clone()).to_string(), shown);
        let texts =
            ["globalThis", "frames", "[3]", "[\"a b\\n\"]", "#pixels", "(variable x)", "(value of 7 in the Map)"];
        assert_eq!(path(steps).to_texts(), texts);
    }

    #[test]
    fn long_names_and_long_paths_are_cut() {
        let steps = (0..1000).map(|_| PathStep::Property("next".into())).collect();
        let shown = path(steps).to_string();
        assert!(shown.len() < 300 && shown.contains(" (968 more steps)"), "{shown}");
        let shown = path(vec![PathStep::Property("é".repeat(1000))]).to_string();
        assert_eq!(shown, format!("globalThis.{}...", "é".repeat(LONGEST_NAME)));
    }

    #[test]
    fn retainers_say_in_one_line_what_they_are() {
        let at = |handles, path, unseen| Retainers::new(handles, path, unseen).to_string();
        let path = || Some(path(vec![PathStep::Property("x".into())]));
        assert_eq!(at(0, path(), None), "globalThis.x");
        assert_eq!(at(2, path(), Some("closures")), "globalThis.x, and 2 handles of Rust");
        assert_eq!(at(1, None, None), "only 1 handle of Rust");
        assert_eq!(at(0, None, None), "nothing: it waits for a collection");
        assert_eq!(at(0, None, Some("generators")), "nothing that can be seen: generators");
        assert_eq!(at(1, None, Some("generators")), "1 handle of Rust, and perhaps what cannot be seen: generators");
    }
}
