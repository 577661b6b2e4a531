//! Words for places and stacks, where reports share them.

use std::borrow::Cow;

use crate::Process;
use crate::format::Frame;

/// The place of a store of which none is told.
pub(crate) const UNKNOWN: &str = "an unknown place";

/// A frame in a line: `function (file:line:column)`, or what of it is known.
pub(crate) fn frame_text(frame: &Frame) -> Cow<'_, str> {
    match (&frame.function, &frame.site, frame.address) {
        (Some(function), Some(site), _) => Cow::Owned(format!("{function} ({site})")),
        (Some(name), None, _) | (None, Some(name), _) => Cow::Borrowed(name),
        (None, None, Some(address)) => Cow::Owned(format!("{address:#x}")),
        (None, None, None) => Cow::Borrowed("?"),
    }
}

/// The frames of a stack, the innermost first. None if it is not told.
pub(crate) fn frames(process: &Process, stack: Option<u64>) -> &[Frame] {
    stack.and_then(|stack| process.stack(stack)).map_or(&[], |stack| &stack.frames)
}

/// The stack that did something, the innermost frame first. The site comes before it if none of its frames has the site:
/// the stack of native code does not show the place in a script.
pub(crate) fn stack_of<'a>(process: &'a Process, stack: Option<u64>, site: Option<&str>) -> Cow<'a, [Frame]> {
    let frames = frames(process, stack);
    match site {
        Some(site) if frames.iter().all(|frame| frame.site.as_deref() != Some(site)) => {
            let place = Frame { site: Some(site.to_owned()), ..Frame::default() };
            std::iter::once(place).chain(frames.iter().cloned()).collect()
        }
        _ => Cow::Borrowed(frames),
    }
}
