//! Each text once, so that the rest of the page refers to it by a number.

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// How many characters of a text the page shows. Names come from scripts, which may make them as long as they like.
const LONGEST: usize = 400;

/// Stands for a text, thread, isolate or stack that was not told.
pub(super) const NONE: u32 = u32::MAX;

/// Where a store was made: a place, or the first place of a stack, whose frames may be told at the very end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Origin {
    Site(u32),
    Stack(u32),
    #[default]
    Unknown,
}

/// All texts that were seen.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: FxHashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Names {
    /// The text's number.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        let text = cut(text);
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = self.texts.len() as u32;
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    /// The text's number, or [`NONE`] without a text.
    pub(super) fn optional(&mut self, text: Option<&str>) -> u32 {
        text.map_or(NONE, |text| self.number(text))
    }

    /// The text with this number.
    pub(super) fn text(&self, number: u32) -> Arc<str> {
        self.texts[number as usize].clone()
    }
}

/// The beginning of a text that is too long for the page.
pub(super) fn cut(text: &str) -> &str {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}
