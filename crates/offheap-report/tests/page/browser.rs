//! Drives a browser by Chromium's DevTools protocol, over the two pipes that `--remote-debugging-pipe` reads and writes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};

/// A browser that runs until the tests end: it ends when its pipes close.
pub(crate) struct Browser {
    to: ChildStdin,
    from: Receiver<Value>,
    next: u64,
    /// What went wrong in each page: exceptions, and errors in its console.
    complaints: HashMap<String, Vec<String>>,
    // The reader thread ends when the process does.
    _process: Child,
}

static BROWSER: Mutex<Option<Browser>> = Mutex::new(None);

/// The browser, or none if there is none here. Then it says on the terminal that the test was left out.
///
/// With `OFFHEAP_BROWSER=required` that is a failure; any other value names the program to use.
pub(crate) fn browser(test: &str) -> Option<MutexGuard<'static, Option<Browser>>> {
    let wanted = std::env::var("OFFHEAP_BROWSER").ok();
    // A test that failed may have left the browser in the middle of something. Without its pipes it ends.
    let mut guard = BROWSER.lock().unwrap_or_else(|poisoned| {
        BROWSER.clear_poison();
        let mut guard = poisoned.into_inner();
        *guard = None;
        guard
    });
    if guard.is_none() {
        let named = wanted.as_deref().filter(|wanted| *wanted != "required").map(PathBuf::from);
        let Some(program) = named.or_else(find) else {
            assert!(
                wanted.is_none(),
                "OFFHEAP_BROWSER=required, and no chromium is on the path: apt-get install chromium"
            );
            // Past the capture of the test harness, which hides what a test prints when it passes.
            let _ = writeln!(std::io::stderr(), "left out, for there is no chromium on the path: {test}");
            return None;
        };
        *guard = Some(Browser::start(&program));
    }
    Some(guard)
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|program| program.is_file())
}

impl Browser {
    fn start(program: &Path) -> Self {
        let profile = std::env::temp_dir().join(format!("offheap-page-{}", std::process::id()));
        // The protocol uses the descriptors 3 and 4, which a shell can give to a program. It cleans up after it, too.
        let mut process = Command::new("sh")
            .args(["-c", "p=$1; shift; \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null; rm -rf \"$p\""])
            .args([program, &profile])
            .args(["--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
            .args(["--no-first-run", "--disable-extensions", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let (to, pipe) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, from) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(pipe).split(0).map_while(Result::ok) {
                let Ok(value) = serde_json::from_slice(&message) else { break };
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        Browser { to, from, next: 0, complaints: HashMap::new(), _process: process }
    }

    fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        write!(self.to, "{message}\0").expect("the browser runs");
        loop {
            let answer = self.from.recv_timeout(Duration::from_secs(300));
            let answer = answer.unwrap_or_else(|_| panic!("the browser did not answer {method} within five minutes"));
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.note(&answer);
        }
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        let complaint = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => params["exceptionDetails"].to_string(),
            Some("Runtime.consoleAPICalled") => format!("console: {params}"),
            Some("Log.entryAdded") => format!("log: {}", params["entry"]["text"]),
            _ => return,
        };
        let session = event["sessionId"].as_str().unwrap_or_default().to_owned();
        self.complaints.entry(session).or_default().push(complaint);
    }

    /// Opens an address in a window of this size, and waits until it is loaded.
    pub(crate) fn open(&mut self, address: &str, width: u32, height: u32) -> Tab<'_> {
        let target = self.call(None, "Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = self.call(None, "Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let mut tab = Tab { browser: self, session, target };
        for domain in ["Page", "Runtime", "Log"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        tab.call("Page.bringToFront", json!({}));
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        tab.call("Emulation.setDeviceMetricsOverride", size);
        tab.call("Page.navigate", json!({ "url": address }));
        tab.wait_for("document.readyState === 'complete' && location.protocol !== 'about:'");
        tab
    }
}

/// A page in the browser.
pub(crate) struct Tab<'a> {
    browser: &'a mut Browser,
    session: String,
    target: Value,
}

impl Tab<'_> {
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.browser.call(Some(&self.session.clone()), method, params)
    }

    /// The value of an expression, after the page has drawn what was done before.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        // A browser that has no time for it draws no frames.
        let drawn = "new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); setTimeout(done, 1000); })";
        let expression = format!("{drawn}.then(() => ({expression}))");
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?})?.innerText ?? 'no such element'"));
        text.as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn number(&mut self, expression: &str) -> f64 {
        self.value(expression).as_f64().unwrap_or(f64::NAN)
    }

    pub(crate) fn is(&mut self, expression: &str) -> bool {
        self.value(expression) == true
    }

    pub(crate) fn wait_for(&mut self, expression: &str) {
        for _ in 0..6000 {
            if self.is(expression) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("this did not come true within five minutes: {expression}");
    }

    /// Presses and releases a key, as a keyboard does.
    pub(crate) fn key(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            "End" => 35,
            "Home" => 36,
            "PageDown" => 34,
            "ArrowUp" => 38,
            "ArrowDown" => 40,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            _ => 0,
        };
        for kind in ["rawKeyDown", "keyUp"] {
            let params = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Types text into what has the focus.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Clicks in the middle of an element, with the mouse.
    pub(crate) fn click(&mut self, selector: &str) {
        let middle = self.value(&format!(
            "(() => {{ const it = document.querySelector({selector:?}); it.scrollIntoView({{ block: 'center' }}); \
             const box = it.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        let (x, y) = (middle[0].clone(), middle[1].clone());
        self.mouse("mouseMoved", &x, &y);
        self.mouse("mousePressed", &x, &y);
        self.mouse("mouseReleased", &x, &y);
    }

    pub(crate) fn mouse(&mut self, kind: &str, x: &Value, y: &Value) {
        let button = if kind == "mouseMoved" { "none" } else { "left" };
        let held = u8::from(kind != "mouseReleased");
        let params = json!({ "type": kind, "x": x, "y": y, "button": button, "buttons": held, "clickCount": 1 });
        self.call("Input.dispatchMouseEvent", params);
    }

    /// Moves the mouse with its button held.
    pub(crate) fn drag(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.mouse("mousePressed", &from.0.into(), &from.1.into());
        for step in 1..=4 {
            let part = f64::from(step) / 4.0;
            let (x, y) = (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part);
            let params = json!({ "type": "mouseMoved", "x": x, "y": y, "button": "left", "buttons": 1 });
            self.call("Input.dispatchMouseEvent", params);
        }
        self.mouse("mouseReleased", &to.0.into(), &to.1.into());
    }

    /// What people prefer, as their system says it: `light` or `dark`.
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// What a screen reader gets: role and name of each element that it does not skip.
    pub(crate) fn spoken(&mut self) -> Vec<(String, String)> {
        let tree = self.call("Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        nodes
            .iter()
            .filter(|node| node["ignored"] != true)
            .map(|node| (text(&node["role"]), text(&node["name"])))
            .collect()
    }

    /// Writes a picture of the window.
    pub(crate) fn picture(&mut self, file: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let picture = base64::engine::general_purpose::STANDARD.decode(answer["data"].as_str().unwrap_or_default());
        std::fs::write(file, picture.expect("the browser sends base64")).expect("the folder is there");
    }

    /// Exceptions and lines of the console since the page was opened.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        self.value("0");
        self.browser.complaints.get(&self.session).cloned().unwrap_or_default()
    }
}

impl Drop for Tab<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.browser.call(None, "Target.closeTarget", json!({ "targetId": self.target }));
        }
    }
}
