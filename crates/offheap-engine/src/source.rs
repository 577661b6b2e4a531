//! The text of a script, and its name.

/// The text of a script, with the name that stack traces and places in script show. Made from a text, or by
/// [`named`](Self::named).
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    text: &'a str,
    name: Option<&'a str>,
}

impl<'a> Source<'a> {
    /// A script with the name of its file, or another name.
    ///
    /// ```
    /// # use offheap_engine::{Error, Host, Isolate, Source};
    /// fn grade<H: Host>(isolate: &mut Isolate<H>) -> Result<f64, Error> {
    ///     let text = "pixels.length"; // from a file
    ///     isolate.enter(|scope| scope.eval(Source::named("grade.js", text)))
    /// }
    /// ```
    pub fn named(name: &'a str, text: &'a str) -> Self {
        Source { text, name: Some(name) }
    }

    /// The text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The name, if it has one.
    pub fn name(&self) -> Option<&'a str> {
        self.name
    }
}

impl<'a> From<&'a str> for Source<'a> {
    fn from(text: &'a str) -> Self {
        Source { text, name: None }
    }
}

impl<'a> From<&&'a str> for Source<'a> {
    fn from(text: &&'a str) -> Self {
        Source::from(*text)
    }
}

impl<'a> From<&'a String> for Source<'a> {
    fn from(text: &'a String) -> Self {
        Source { text, name: None }
    }
}
