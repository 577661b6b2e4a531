//! Who holds a store now.

use std::fmt;

use crate::format::{Isolate, Reference};
use crate::{Store, Trace};

/// One of those that hold a store. `Display` says it in words: `2 buffers in V8 isolate 3 "worker"`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Holder<'a> {
    /// Buffers of script.
    Buffers {
        /// How many.
        count: u64,
        /// The number of their isolate, if it is told.
        number: Option<u64>,
        /// Their isolate, if a line told of it.
        isolate: Option<&'a Isolate>,
        /// The place in script that waited when the engine got one of them, if it is told.
        site: Option<&'a str>,
        /// The path of objects that keeps one of them alive, from the global object on. Empty if it is not told.
        path: &'a [String],
    },
    /// A reference of native code whose place is told.
    Reference(&'a Reference),
    /// References of native code whose places are not told.
    References {
        /// How many.
        count: u64,
    },
    /// Guards that read the bytes.
    Readers {
        /// How many.
        count: u64,
    },
    /// A guard that writes the bytes.
    Writer,
    /// Weak handles. They do not keep the store.
    Weak {
        /// How many.
        count: u64,
    },
}

impl Trace {
    /// Who holds the store, as far as the stream tells.
    pub fn holders<'a>(&'a self, store: &'a Store) -> Vec<Holder<'a>> {
        let process = self.processes().get(store.process);
        let mut holders: Vec<Holder<'a>> = Vec::new();
        holders.extend(store.buffers().iter().map(|buffers| Holder::Buffers {
            count: buffers.count,
            number: buffers.isolate,
            isolate: buffers.isolate.and_then(|isolate| process?.isolate(isolate)),
            site: buffers.site.as_deref(),
            path: &buffers.path,
        }));
        holders.extend(store.references().iter().map(Holder::Reference));
        let Some(told) = store.told_holders() else { return holders };
        let mut some = |count: Option<u64>, holder: fn(u64) -> Holder<'a>| {
            holders.extend(count.filter(|&count| count > 0).map(holder));
        };
        let without_place = told.references.map(|all| all.saturating_sub(store.references().len() as u64));
        some(without_place, |count| Holder::References { count });
        some(told.readers, |count| Holder::Readers { count });
        some(told.writer.map(u64::from), |_| Holder::Writer);
        some(told.weak, |count| Holder::Weak { count });
        holders
    }
}

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Holder::Buffers { count, number, isolate, site, path } => {
                write!(f, "{count} {}", plural(count, "buffer"))?;
                match (isolate, number) {
                    (Some(isolate), _) => {
                        write!(f, " in {} isolate {}", isolate.engine, isolate.isolate)?;
                        if let Some(name) = &isolate.name {
                            write!(f, " \"{name}\"")?;
                        }
                    }
                    (None, Some(number)) => write!(f, " in isolate {number}")?,
                    (None, None) => {}
                }
                if let Some(site) = site {
                    write!(f, ", exposed at {site}")?;
                }
                if !path.is_empty() {
                    write!(f, ", kept by {}", path.join(" > "))?;
                }
                Ok(())
            }
            Holder::Reference(reference) => {
                f.write_str("a reference")?;
                if let Some(site) = &reference.site {
                    write!(f, " taken at {site}")?;
                }
                if let (Some(from), Some(to)) = (reference.from, reference.to) {
                    write!(f, " to bytes {from} to {to}")?;
                }
                Ok(())
            }
            Holder::References { count } => write!(f, "{count} {}", plural(count, "reference")),
            Holder::Readers { count: 1 } => f.write_str("1 guard that reads"),
            Holder::Readers { count } => write!(f, "{count} {} that read", plural(count, "guard")),
            Holder::Writer => f.write_str("a guard that writes"),
            Holder::Weak { count } => write!(f, "{count} weak {}", plural(count, "handle")),
        }
    }
}

fn plural(count: u64, one: &'static str) -> String {
    if count == 1 { one.to_owned() } else { format!("{one}s") }
}
