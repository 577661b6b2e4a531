//! What lives, by the places that made it and by those who hold it.

use std::sync::Arc;

use annotate_snippets::{Group, Level};
use rustc_hash::FxHashMap;

use super::source::Sources;
use super::{about, amount, name};
use crate::{Store, Trace, visible};

/// At most this many kinds of holders are shown for a place.
const SHOWN_HOLDERS: usize = 5;
/// At most this many frames are shown of a stack.
const SHOWN_FRAMES: usize = 12;

/// What lives of one place in one process.
pub(super) struct Place {
    process: usize,
    site: Option<Arc<str>>,
    is_leaked: bool,
    stack: Option<u64>,
    /// How many stores.
    pub(super) stores: f64,
    /// Their bytes.
    pub(super) bytes: f64,
    // By the words for who holds it.
    holders: FxHashMap<String, Part>,
}

#[derive(Default)]
struct Part {
    stores: f64,
    bytes: f64,
}

/// What lives and is not static: the leaks first, and of each the largest first.
pub(super) fn places(trace: &Trace) -> Vec<Place> {
    let mut places: FxHashMap<(usize, Option<&Arc<str>>), Place> = FxHashMap::default();
    for store in trace.live_stores().filter(|store| !store.is_static) {
        let place = places.entry((store.process, store.site.as_ref())).or_insert_with(|| Place {
            process: store.process,
            site: store.site.clone(),
            is_leaked: trace.processes()[store.process].has_leaks(),
            stack: None,
            stores: 0.0,
            bytes: 0.0,
            holders: FxHashMap::default(),
        });
        place.add(trace, store);
    }
    let mut places: Vec<Place> = places.into_values().collect();
    places.sort_by(|one, other| {
        let leaks_first = other.is_leaked.cmp(&one.is_leaked);
        let largest_first = leaks_first.then(other.bytes.total_cmp(&one.bytes));
        largest_first.then_with(|| (one.process, &one.site).cmp(&(other.process, &other.site)))
    });
    places
}

impl Place {
    fn add(&mut self, trace: &Trace, store: &Store) {
        let bytes = store.weight * store.bytes as f64;
        self.stores += store.weight;
        self.bytes += bytes;
        // One stack stands for all: the stores have no order, so it is that with the lowest number.
        self.stack = [self.stack, store.stack].into_iter().flatten().min();
        let part = self.holders.entry(holders_of(trace, store)).or_default();
        part.stores += store.weight;
        part.bytes += bytes;
    }

    pub(super) fn group(&self, trace: &Trace, sources: &mut Sources) -> Group<'static> {
        let process = &trace.processes()[self.process];
        let said = format!("{}{}", about(process), amount(self.bytes, self.stores));
        let title = match self.is_leaked {
            true => Level::ERROR.primary_title(format!("{said} leaked")).id("LEAK"),
            false => Level::INFO.primary_title(format!("{said} live")),
        };
        let mut group = Group::with_title(title);
        if let Some(site) = &self.site {
            group = group.elements(sources.elements(&[(site, "made here")]));
        }
        group = group.elements(self.holders().into_iter().map(|said| Level::NOTE.with_name("held by").message(said)));
        if let Some(stack) = self.stack.and_then(|stack| process.stack(stack)) {
            let mut frames: Vec<String> =
                stack.frames.iter().take(SHOWN_FRAMES).map(|frame| visible::line(&frame.to_string())).collect();
            if stack.frames.len() > SHOWN_FRAMES {
                frames.push(format!("and {} further frames", stack.frames.len() - SHOWN_FRAMES));
            }
            group = group.element(Level::NOTE.with_name("stack").message(frames.join("\n")));
        }
        if trace.processes().len() > 1 {
            let said = format!("{}, in {}", name(process), visible::line(&process.file));
            group = group.element(Level::NOTE.with_name("in").message(said));
        }
        group
    }

    /// In words, the largest first.
    fn holders(&self) -> Vec<String> {
        let mut holders: Vec<(&String, &Part)> = self.holders.iter().collect();
        holders.sort_by(|one, other| other.1.bytes.total_cmp(&one.1.bytes).then(one.0.cmp(other.0)));
        let mut said: Vec<String> = Vec::new();
        for (words, part) in holders.iter().take(SHOWN_HOLDERS) {
            match holders.len() {
                1 => said.push((*words).clone()),
                _ => said.push(format!("{words} ({})", amount(part.bytes, part.stores))),
            }
        }
        if let Some(hidden) = holders.get(SHOWN_HOLDERS..).filter(|hidden| !hidden.is_empty()) {
            let stores = hidden.iter().map(|(_, part)| part.stores).sum();
            let bytes = hidden.iter().map(|(_, part)| part.bytes).sum();
            said.push(format!("others ({})", amount(bytes, stores)));
        }
        said
    }
}

/// Who holds the store, in words.
fn holders_of(trace: &Trace, store: &Store) -> String {
    let holders: Vec<String> = trace.holders(store).iter().map(|holder| visible::line(&holder.to_string())).collect();
    match store.kind.as_deref() {
        _ if !holders.is_empty() => holders.join("; "),
        Some("external") => "script: the finalizer of its buffer was not called".to_owned(),
        Some("manual") => "nobody; manual memory is freed by hand, and this was not".to_owned(),
        _ => "nobody that the stream names".to_owned(),
    }
}
