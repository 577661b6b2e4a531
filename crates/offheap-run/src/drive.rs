//! How a script runs, from its first line until nothing is left to wait for: the same steps on every engine.

use std::path::Path;

use crate::{Script, Uncaught};

/// How a text is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Classic,
    Module,
}

/// What has become of a module that was evaluated.
pub(crate) enum Evaluation {
    Pending,
    Fulfilled,
    Rejected(Uncaught),
}

/// The steps of a run that each engine takes in its own way.
pub(crate) trait Realm {
    /// A module's promise of its end.
    type Promise;

    /// Whether the script parses. Leaves no exception behind.
    fn parses(&mut self, script: &Script, kind: Kind) -> bool;

    /// Runs the script until it returns. Only a module has a promise.
    fn evaluate(&mut self, script: &Script, kind: Kind) -> Result<Option<Self::Promise>, Uncaught>;

    /// Runs microtasks and whatever else is queued, until the queue is empty or something throws.
    fn run_queued(&mut self) -> Result<(), Uncaught>;

    /// What has become of a module.
    fn evaluation(&mut self, promise: &Self::Promise) -> Evaluation;

    /// The reason of the promise that was rejected first, of those that nothing handles. Forgets all of them.
    fn take_unhandled(&mut self) -> Option<Uncaught>;
}

/// Runs a script, and reports the first error that nothing caught.
pub(crate) fn run<R: Realm>(realm: &mut R, script: &Script) -> Result<(), Uncaught> {
    let kind = kind_of(script, |kind| realm.parses(script, kind));
    let promise = realm.evaluate(script, kind)?;
    realm.run_queued()?;
    let evaluation = promise.map_or(Evaluation::Fulfilled, |promise| realm.evaluation(&promise));
    // Before the promises that nothing handles: the module's own is one of them.
    if let Evaluation::Rejected(uncaught) = evaluation {
        return Err(uncaught);
    }
    match (realm.take_unhandled(), evaluation) {
        (Some(uncaught), _) => Err(uncaught),
        (None, Evaluation::Pending) => Err(Uncaught::never_ended()),
        (None, _) => Ok(()),
    }
}

/// Any text that parses as a classic script is one, unless its name says otherwise. A text that parses neither way is
/// taken for what it looks like, so that the error is about the right grammar.
fn kind_of(script: &Script, mut parses: impl FnMut(Kind) -> bool) -> Kind {
    if Path::new(script.name()).extension().is_some_and(|extension| extension == "mjs") {
        return Kind::Module;
    }
    match !parses(Kind::Classic) && (parses(Kind::Module) || looks_like_module(script.text())) {
        true => Kind::Module,
        false => Kind::Classic,
    }
}

/// Whether a line begins with `import` or `export`, as in a module. This is a guess, for a text that does not parse.
fn looks_like_module(text: &str) -> bool {
    let begins = |line: &str, word| {
        line.strip_prefix(word).is_some_and(|rest: &str| rest.starts_with([' ', '{', '*', '"', '\'']))
    };
    text.lines().any(|line| begins(line, "import") || begins(line, "export"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_a_module_by_its_name_or_its_grammar() {
        let kind = |name, text, parses_as: &[Kind]| kind_of(&Script::new(name, text), |kind| parses_as.contains(&kind));
        assert_eq!(kind("a.mjs", "1", &[Kind::Classic, Kind::Module]), Kind::Module);
        assert_eq!(kind("a.js", "1", &[Kind::Classic, Kind::Module]), Kind::Classic);
        assert_eq!(kind("a.js", "await 1", &[Kind::Module]), Kind::Module);
        assert_eq!(kind("a.js", "let let", &[]), Kind::Classic);
        assert_eq!(kind("a.js", "export let let", &[]), Kind::Module);
        assert_eq!(kind("a.js", "with (a) b;\n/*\nimport c\n*/", &[Kind::Classic]), Kind::Classic);
    }

    #[test]
    fn modules_that_do_not_parse_are_recognised() {
        let looks = looks_like_module;
        assert!(looks("// a\nimport { gc } from \"offheap\"\nlet let"));
        assert!(looks("export default 3"));
        assert!(!looks("importance = 1"));
        assert!(!looks("import(\"x\")"));
    }
}
