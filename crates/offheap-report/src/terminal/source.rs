//! The lines of source files around a place.

use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{Annotation, AnnotationKind, Element, Origin, Snippet};
use rustc_hash::FxHashMap;

use crate::visible;

/// So many lines are shown before a place and after it.
const AROUND: usize = 2;
/// A larger file is not a source that somebody wrote.
const LARGEST_FILE: u64 = 16 << 20;

/// Source files, each read once. One that is not there, or that is no text, has no lines.
#[derive(Default)]
pub(super) struct Sources {
    files: FxHashMap<String, Option<Vec<String>>>,
}

/// `file:line:column`, each counted from 1.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    label: &'static str,
    is_first: bool,
}

impl Sources {
    /// Shows the places, the first one as that which matters. Those that are near to each other are shown together.
    pub(super) fn elements(&mut self, places: &[(&str, &'static str)]) -> Vec<Element<'static>> {
        let mut elements = Vec::new();
        let mut shown = vec![false; places.len()];
        for (at, &(site, label)) in places.iter().enumerate() {
            if shown[at] {
                continue;
            }
            let place = parse(site, label, at == 0);
            let lines = place.and_then(|place| self.lines(place.file));
            let (Some(place), Some(lines)) = (place, lines) else {
                elements.push(without_source(site, place));
                continue;
            };
            if place.line > lines.len() {
                elements.push(without_source(site, Some(place)));
                continue;
            }
            let mut together = vec![place];
            let mut window = around(place.line, lines.len());
            for (later, &(site, label)) in places.iter().enumerate().skip(at + 1) {
                let near = parse(site, label, false).filter(|near| near.file == place.file && near.line <= lines.len());
                let Some(near) = near.filter(|near| touches(&window, &around(near.line, lines.len()))) else {
                    continue;
                };
                let more = around(near.line, lines.len());
                window = window.start.min(more.start)..window.end.max(more.end);
                together.push(near);
                shown[later] = true;
            }
            elements.push(snippet(place.file, lines, window, &together).into());
        }
        elements
    }

    fn lines(&mut self, file: &str) -> Option<&[String]> {
        if !self.files.contains_key(file) {
            self.files.insert(file.to_owned(), read(Path::new(file)));
        }
        self.files[file].as_deref()
    }
}

/// The names come from a stream that anybody may have written: nothing but files of text is read, and no device or pipe. What a
/// system makes up as it is read, such as `/proc/kmsg`, has no length; it may have no end, or wait for ever.
fn read(file: &Path) -> Option<Vec<String>> {
    let metadata = fs::metadata(file).ok()?;
    if !metadata.is_file() || !(1..=LARGEST_FILE).contains(&metadata.len()) {
        return None;
    }
    let mut text = String::new();
    File::open(file).ok()?.take(LARGEST_FILE).read_to_string(&mut text).ok()?;
    Some(text.lines().map(str::to_owned).collect())
}

fn parse<'a>(site: &'a str, label: &'static str, is_first: bool) -> Option<Place<'a>> {
    let mut parts = site.rsplitn(3, ':');
    let column = parts.next()?.parse().ok().filter(|&column| column > 0)?;
    let line = parts.next()?.parse().ok().filter(|&line| line > 0)?;
    let file = parts.next().filter(|file| !file.is_empty())?;
    Some(Place { file, line, column, label, is_first })
}

/// Indexes of the lines around this line.
fn around(line: usize, lines: usize) -> Range<usize> {
    let index = line - 1;
    index.saturating_sub(AROUND)..(index + AROUND + 1).min(lines)
}

fn touches(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start <= other.end && other.start <= one.end
}

fn without_source(site: &str, place: Option<Place<'_>>) -> Element<'static> {
    match place {
        Some(Place { file, line, column, .. }) => {
            Origin::path(visible::line(file)).line(line).char_column(column).into()
        }
        None => Origin::path(visible::line(site)).into(),
    }
}

fn snippet(
    file: &str,
    lines: &[String],
    window: Range<usize>,
    places: &[Place<'_>],
) -> Snippet<'static, Annotation<'static>> {
    let mut source = String::new();
    let mut annotations = Vec::new();
    for index in window.clone() {
        for place in places.iter().filter(|place| place.line == index + 1) {
            let kind = if place.is_first { AnnotationKind::Primary } else { AnnotationKind::Context };
            let word = word(&lines[index], place.column);
            // The escapes of what comes before make it longer.
            let start = source.len() + visible::line(&lines[index][..word.start]).len();
            let end = start + visible::line(&lines[index][word]).len();
            annotations.push(kind.span(start..end).label(place.label));
        }
        source.push_str(&visible::line(&lines[index]));
        source.push('\n');
    }
    let snippet = Snippet::source(source).path(visible::line(file)).line_start(window.start + 1).fold(false);
    snippet.annotations(annotations)
}

/// The bytes of the word that begins at this column, or of one character, or of nothing at the end of the line.
fn word(line: &str, column: usize) -> Range<usize> {
    let start = line.char_indices().nth(column - 1).map_or(line.len(), |(at, _)| at);
    let is_part = |character: char| character.is_alphanumeric() || character == '_' || character == '$';
    let rest = &line[start..];
    let length = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
    let length = if length > 0 { length } else { rest.chars().next().map_or(0, char::len_utf8) };
    start..start + length
}
