//! Both themes, wide and narrow. With `OFFHEAP_PICTURES=folder` the pictures are kept, to be looked at.

use super::{page, pictures, stream, with_page};

/// The contrast of all texts on their grounds, as WCAG counts it: those below `4.5` and their numbers.
const CONTRASTS: &str = r#"(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const rgb = (color) => {
    if (known.has(color)) return known.get(color);
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    known.set(color, [...canvas.getImageData(0, 0, 1, 1).data]);
    return known.get(color);
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element) => {
    for (let it = element; it; it = it.parentElement) {
      const color = rgb(getComputedStyle(it).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest("script, .hidden, :disabled, option")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(rgb(element instanceof SVGElement ? style.fill : style.color)), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(`${walker.currentNode.data.trim().slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return [...new Set(found)];
})()"#;

#[test]
fn both_themes_have_contrast_and_fit_their_window() {
    for kind in ["leak", "program", "processes", "cut", "counts"] {
        let page = page(&stream(kind, 12_000));
        for (width, height) in [(1280, 900), (420, 900)] {
            with_page(&format!("looks-{kind}-{width}"), &page, (width, height), |tab| {
                for theme in ["light", "dark"] {
                    tab.prefer(theme);
                    for view in ["top", "stores", "detail"] {
                        match view {
                            "stores" => tab.value("document.getElementById('stores').scrollIntoView()"),
                            "detail" => tab.value("grid.rows.length > 0 && openDetail(grid.rows[0])"),
                            _ => tab.value("scrollTo(0, 0)"),
                        };
                        assert_eq!(tab.value(CONTRASTS), serde_json::json!([]), "{kind} {theme} {width} {view}");
                        assert!(tab.is("document.documentElement.scrollWidth <= innerWidth"), "{kind} {width} {view}");
                        if let Some(folder) = pictures() {
                            tab.picture(&folder.join(format!("{kind}-{width}-{theme}-{view}.png")));
                        }
                    }
                    tab.key("Escape");
                }
            });
        }
    }
}

#[test]
fn the_button_goes_round_the_themes() {
    with_page("the_button_goes_round_the_themes", &page(&stream("balanced", 0)), (1280, 900), |tab| {
        tab.prefer("dark");
        let ground = "getComputedStyle(document.body).backgroundColor";
        let dark = tab.value(ground);
        tab.click("#theme");
        assert_eq!(tab.text("#theme"), "Theme: light");
        assert_ne!(tab.value(ground), dark);
        tab.click("#theme");
        assert_eq!(tab.value(ground), dark);
        tab.prefer("light");
        assert_eq!(tab.value(ground), dark, "dark was asked for");
        tab.click("#theme");
        assert_eq!(tab.text("#theme"), "Theme: auto");
    });
}
