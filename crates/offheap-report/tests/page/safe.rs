//! Nothing of a stream becomes a part of the page's program, and the page reaches for nothing.

use base64::Engine;
use sha2::{Digest, Sha256};

use super::{page, stream, with_page};

const WINDOW: (u32, u32) = (1280, 900);

/// Between two marks, the first of each.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).expect("the page has it").0
}

#[test]
fn only_the_pages_own_script_and_style_may_run() {
    let page = page(&stream("hostile", 0));
    let hash = |text: &str| base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
    let style = hash(between(&page, "<style>", "</style>"));
    let script = hash(between(&page, "\n<script>", "</script>"));
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"");
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; base-uri 'none'; \
             form-action 'none'"
        ),
        "page.html has to name the hashes of page.css and of the scripts, which have changed"
    );
}

#[test]
fn the_page_names_no_other_file() {
    let page = page(&stream("leak", 0));
    for part in ["http:", "https:", "src=", "@import", "url("] {
        let uses = page.matches(part).count()
            - page.matches("http://www.w3.org/2000/svg").count() * usize::from(part == "http:");
        assert_eq!(uses, 0, "{part}");
    }
}

#[test]
fn names_cannot_leave_the_data() {
    let page = page(&stream("hostile", 0));
    assert_eq!(page.matches("</script>").count(), 2);
    let data = between(&page, "id=\"data\">", "</script>");
    for character in ['<', '>', '&', '\u{2028}', '\u{2029}', '\u{0}', '\u{1b}'] {
        assert!(!data.contains(character), "{character:?}");
    }
    let data: serde_json::Value = serde_json::from_str(data).expect("it is JSON");
    assert!(data["words"].as_array().unwrap().iter().any(|word| word == "</script><script>window.broken = 1</script>"));
    assert!(page.len() < 400_000, "a name of 5 MB is cut");
}

#[test]
fn hostile_names_are_text() {
    with_page("hostile_names_are_text", &page(&stream("hostile", 0)), WINDOW, |tab| {
        assert!(tab.is("window.broken === undefined"));
        assert!(tab.is("document.querySelectorAll('img, script:not([type]):not(:last-of-type)').length === 0"));
        assert!(tab.text("#title").starts_with("</script><script>"));
        tab.click(".rows .row:nth-child(2)");
        assert!(tab.is("window.broken === undefined"));
        // Characters that would turn the text around are shown by their number.
        assert!(tab.is("document.body.innerText.includes('\\\\u{202e}sj.live')"));
    });
}
