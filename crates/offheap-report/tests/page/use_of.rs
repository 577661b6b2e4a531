//! Using the page, with mouse, keyboard and screen reader.

use super::{page, stream, with_page};

const WINDOW: (u32, u32) = (1280, 900);

#[test]
fn filters_narrow_the_rows() {
    with_page("filters_narrow_the_rows", &page(&stream("leak", 0)), WINDOW, |tab| {
        let all = tab.number("grid.rows.length");
        tab.click("#filter [name=text]");
        tab.type_text("tiles plugins");
        let found = tab.number("grid.rows.length");
        assert!(found > 0.0 && found < all);
        assert!(tab.is("grid.rows.every((store) => store.site === 'src/map/tiles.rs:77:13')"));
        tab.value("document.querySelector('#filter [type=reset]').click()");
        for (name, value, check) in [
            ("state", "leaked", "store.state === 'leaked'"),
            ("state", "error", "store.error"),
            ("site", "app/images.js:88:20", "store.site === 'app/images.js:88:20'"),
            ("engine", "V8", "store.engineText === 'V8'"),
            ("least", "65536", "store.bytes >= 65536"),
        ] {
            tab.value(&format!(
                "(() => {{ const it = document.querySelector('#filter [name={name}]'); it.value = {value:?}; \
                 it.dispatchEvent(new Event('change')); }})()"
            ));
            let found = tab.number("grid.rows.length");
            assert!(found > 0.0 && found < all, "{name} {value}: {found} of {all}");
            assert!(tab.is(&format!("grid.rows.every((store) => {check})")), "{name} {value}");
            tab.value("document.querySelector('#filter [type=reset]').click()");
        }
        tab.click("#filter [name=text]");
        tab.type_text("no such thing");
        assert_eq!(tab.text(".none"), "No store matches the filter.");
        assert_eq!(tab.text("#stores-count"), format!("0 of {all} stores, 0 B"));
    });
}

#[test]
fn a_click_on_a_bar_shows_holders_stack_and_history() {
    with_page("a_click_on_a_bar", &page(&stream("leak", 0)), WINDOW, |tab| {
        tab.click("#leak-table tbody tr:nth-child(2) button");
        assert_eq!(tab.value("document.activeElement.id"), "detail-title");
        tab.key("Escape");
        tab.value("showOnly({ state: 'leaked', site: 'app/images.js:88:20' })");
        tab.click(".rows .row .bar");
        let detail = tab.text("#detail");
        for part in [
            "Leaked: it lived when the process ended.",
            "V8, “render” (isolate 1)",
            ", exposed at app/images.js:88:20",
            "Map entry \"thumb:17\"",
            ", bytes 0 to 4,096, taken at ",
            "src/video/queue.rs:64:30",
            "makeThumbnail",
            "exposed",
        ] {
            assert!(detail.contains(part), "{part} in {detail}");
        }
        assert!(tab.is("document.querySelector('.row[aria-selected=true]') !== null"));
    });
}

#[test]
fn the_keyboard_reaches_everything() {
    with_page("the_keyboard_reaches_everything", &page(&stream("program", 20_000)), WINDOW, |tab| {
        // From the first element on: skip, theme, chart, filter, rows.
        let mut seen = Vec::new();
        for _ in 0..60 {
            tab.key("Tab");
            let name = tab
                .value("document.activeElement.id || document.activeElement.name || document.activeElement.className");
            seen.push(name.as_str().unwrap_or_default().to_owned());
            if tab.is("document.activeElement.matches('.rows .row')") {
                break;
            }
        }
        for stop in ["skip", "theme", "by", "chart-frame", "text", "state", "site", "engine", "least", "order"] {
            assert!(seen.iter().any(|name| name == stop), "{stop} in {seen:?}");
        }
        assert!(tab.is("document.activeElement.getAttribute('aria-rowindex') === '2'"));
        tab.key("ArrowDown");
        tab.key("ArrowDown");
        assert!(tab.is("document.activeElement.getAttribute('aria-rowindex') === '4'"));
        tab.key("End");
        assert!(tab.is("document.activeElement.getAttribute('aria-rowindex') === String(grid.rows.length + 1)"));
        tab.key("Enter");
        assert!(tab.is("document.activeElement.id === 'detail-title'"));
        assert!(tab.is("document.activeElement.textContent === `Store ${grid.rows.at(-1).store}`"));
        tab.key("Escape");
        assert!(tab.is("document.getElementById('detail').hidden"));
        assert!(tab.is("document.activeElement.getAttribute('aria-rowindex') === String(grid.rows.length + 1)"));
        tab.key("Home");
        assert!(tab.is("document.activeElement.getAttribute('aria-rowindex') === '2'"));
    });
}

#[test]
fn the_chart_answers_to_keys_and_to_dragging() {
    with_page("the_chart_answers", &page(&stream("program", 20_000)), WINDOW, |tab| {
        let all = tab.number("grid.rows.length");
        tab.value("document.querySelector('.chart-frame').focus()");
        tab.key("ArrowRight");
        tab.key("End");
        let spoken = tab.value("document.querySelector('.chart-frame').getAttribute('aria-valuetext')");
        assert!(spoken.as_str().unwrap().contains("B"), "{spoken}");
        tab.value("document.querySelector('.chart-frame').scrollIntoView({ block: 'center' })");
        let y = tab.number("document.querySelector('.chart-frame').getBoundingClientRect().y + 60");
        tab.drag((400.0, y), (600.0, y));
        let zoomed = tab.number("grid.rows.length");
        assert!(zoomed < all, "{zoomed} of {all}");
        assert!(tab.is("chart.from > 0 && chart.to < endOfTime"));
        tab.click("#chart-reset");
        assert_eq!(tab.number("grid.rows.length"), all);
        tab.click("#chart-by label:last-of-type span");
        assert!(tab.text("#chart-legend").contains("src/map/atlas.rs:140:25"));
        tab.click("#chart-numbers summary");
        assert!(tab.is("document.querySelectorAll('#chart-numbers tbody tr').length === 21"));
    });
}

#[test]
fn ten_thousand_rows_scroll_at_once() {
    with_page("ten_thousand_rows", &page(&stream("program", 60_000)), WINDOW, |tab| {
        assert!(tab.number("grid.rows.length") >= 10_000.0);
        assert!(tab.number("document.querySelectorAll('.rows .row').length") < 60.0);
        // Half of the times are better than the limits even where other programs use the machine.
        let scrolling = tab.number(
            "(() => { const box = document.querySelector('.rows'); const times = []; \
             for (let at = 0; at < 60; at += 1) { const begin = performance.now(); \
             box.scrollTop = (at * 5003) % (box.scrollHeight - 600); showRows(); box.getBoundingClientRect(); \
             times.push(performance.now() - begin); } return times.sort((a, b) => a - b)[30]; })()",
        );
        assert!(scrolling < 200.0, "{scrolling} ms");
        let filtering = tab.number(
            "(() => { const times = []; filter.text = 'atlas'; applyFilter(); \
             for (let at = 0; at < 9; at += 1) { const begin = performance.now(); applyFilter(); \
             times.push(performance.now() - begin); } return times.sort((a, b) => a - b)[4]; })()",
        );
        assert!(filtering < 500.0, "{filtering} ms");
    });
}

#[test]
fn a_screen_reader_gets_names_for_everything() {
    with_page("a_screen_reader", &page(&stream("leak", 0)), WINDOW, |tab| {
        tab.click(".rows .row .bar");
        let spoken = tab.spoken();
        let has = |role: &str, name: &str| spoken.iter().any(|(a, b)| a == role && b.contains(name));
        for (role, name) in [
            ("heading", "offheap run"),
            ("heading", "Errors"),
            ("heading", "Memory over time"),
            ("slider", "Time in the chart"),
            ("grid", "Stores"),
            ("row", "Leaked"),
            ("columnheader", "Size"),
            ("search", "Filter the stores"),
            ("complementary", "Store"),
            ("table", "Totals of each place"),
        ] {
            assert!(has(role, name), "{role} {name}");
        }
        for (role, name) in &spoken {
            let needs_name =
                ["button", "combobox", "searchbox", "slider", "grid", "radio", "link"].contains(&role.as_str());
            assert!(!needs_name || !name.is_empty(), "a {role} has no name");
        }
    });
}
