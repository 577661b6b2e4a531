//! What was refused, and what is to be noticed.

use std::sync::Arc;

use annotate_snippets::{Group, Level};
use rustc_hash::FxHashMap;

use super::source::Sources;
use crate::Store;
use crate::format::Refused;
use crate::visible;

/// At most this many different refusals are shown.
const KEPT: usize = 100;

/// Each refusal once, however often it happened.
pub(super) struct Refusals {
    level: Level<'static>,
    kept: Vec<Refusal>,
    by_place: FxHashMap<(String, Option<String>, Option<String>), usize>,
    left_out: u64,
}

/// A refusal, and how often it happened at its place.
pub(super) struct Refusal {
    level: Level<'static>,
    first: Refused,
    made: Option<Arc<str>>,
    times: u64,
}

impl Refusals {
    pub(super) fn new(level: Level<'static>) -> Self {
        Refusals { level, kept: Vec::new(), by_place: FxHashMap::default(), left_out: 0 }
    }

    pub(super) fn add(&mut self, refused: &Refused, store: Option<&Store>) {
        let key = (refused.code.clone(), refused.site.clone(), refused.earlier.clone());
        if let Some(&known) = self.by_place.get(&key) {
            self.kept[known].times += 1;
        } else if self.kept.len() == KEPT {
            self.left_out += 1;
        } else {
            self.by_place.insert(key, self.kept.len());
            let made = store.and_then(|store| store.site.clone());
            let level = self.level.clone();
            self.kept.push(Refusal { level, first: refused.clone(), made, times: 1 });
        }
    }

    /// In the order in which each happened first.
    pub(super) fn kept(&self) -> &[Refusal] {
        &self.kept
    }

    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }
}

impl Refusal {
    pub(super) fn group(&self, sources: &mut Sources) -> Group<'static> {
        let Refused { code, message, site, earlier, .. } = &self.first;
        let times = if self.times > 1 { format!(" ({} times)", self.times) } else { String::new() };
        let title =
            self.level.clone().primary_title(format!("{}{times}", visible::line(message))).id(visible::line(code));
        let (here, before) = match code.as_str() {
            "DOUBLE_FREE" => ("freed again here", "freed here before"),
            "FREE_IN_USE" => ("this free was refused", "in use from here"),
            "DETACHED" => ("used here", "detached here"),
            "FREED_IN_USE" => ("made here", "its memory was freed by the finalizer of what was made here"),
            "FINALIZED_TWICE" => ("the second was made here", "the first was made here"),
            "WRAPPED_TWICE" => ("made here", "its memory was given to script here before"),
            _ => ("refused here", "this came before"),
        };
        let mut places: Vec<(&str, &'static str)> = Vec::new();
        places.extend(site.as_deref().map(|site| (site, here)));
        places.extend(earlier.as_deref().map(|site| (site, before)));
        // An audit tells errors at the place that made the buffer.
        let made = self.made.as_deref().filter(|&made| site.as_deref() != Some(made));
        places.extend(made.map(|site| (site, "made here")));
        Group::with_title(title).elements(sources.elements(&places))
    }
}
