//! A real browser without a window, told what to do over a pipe in its debugging protocol: JSON, each ended by a NUL.

use super::eventually;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// What it may be installed as.
const NAMES: [&str; 4] = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

/// One page of a browser; it is closed when dropped.
pub struct Browser {
    child: Child,
    input: ChildStdin,
    heard: Arc<Mutex<Vec<Value>>>,
    session: String,
    last: u64,
    _profile: TempDir,
}

impl Browser {
    /// Opens one; `None` where there is none on this machine.
    pub fn open() -> Option<Self> {
        let there = |name: &&&str| Command::new(name).arg("--version").output().is_ok();
        let name = NAMES.iter().find(there)?;
        let profile = TempDir::new().expect("a directory");
        // The browser reads from descriptor 3 and writes to 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh", name])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-pipe",
                "--no-first-run",
            ])
            .args(["--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (out, list) = (BufReader::new(child.stdout.take().expect("piped")), heard.clone());
        std::thread::spawn(move || {
            for message in out.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON of the browser");
                list.lock().expect("no panic").push(message);
            }
        });
        let input = child.stdin.take().expect("piped");
        let mut browser = Browser { child, input, heard, session: String::new(), last: 0, _profile: profile };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session = text(&browser.ask("Target.attachToTarget", attached)["sessionId"]);
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// A call of the protocol; its result.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let id = self.last;
        let mut call = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            call["sessionId"] = json!(self.session);
        }
        self.input.write_all(format!("{call}\0").as_bytes()).expect("the browser reads");
        let mut answer = Value::Null;
        eventually(&format!("the browser answers {method}"), || {
            let mut heard = self.heard.lock().expect("no panic");
            let Some(at) = heard.iter().position(|message| message["id"] == id) else { return false };
            answer = heard.remove(at);
            true
        });
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.ask("Runtime.evaluate", asked);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression in the page is true.
    #[track_caller]
    pub fn until(&mut self, expression: &str) {
        let so = |browser: &mut Browser| browser.value(expression) == json!(true);
        let since = std::time::Instant::now();
        while !so(self) {
            let text = self.value("document.body.innerText");
            assert!(since.elapsed().as_secs() < 40, "never so: {expression}\n{text}\n{:#?}", self.faults());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Waits until the page shows a text.
    #[track_caller]
    pub fn shows(&mut self, text: &str) {
        self.until(&format!("document.body.innerText.includes({})", json!(text)));
    }

    #[track_caller]
    pub fn visit(&mut self, url: &str) {
        self.ask("Page.navigate", json!({ "url": url }));
        self.until("document.readyState === 'complete'");
    }

    /// Presses the button, or link, with this text.
    #[track_caller]
    pub fn press(&mut self, label: &str) {
        let find = format!(
            "[...document.querySelectorAll('button, a')].find(e => e.textContent.trim() === {})",
            json!(label)
        );
        self.until(&format!("!!({find})"));
        self.value(&format!("({find}).click()"));
    }

    /// Types into whatever has the focus.
    pub fn types(&mut self, text: &str) {
        self.ask("Input.insertText", json!({ "text": text }));
    }

    /// Presses and releases a key.
    pub fn key(&mut self, key: &str, code: u32) {
        let text = if key == "Enter" {
            "\r"
        } else if key.len() == 1 {
            key
        } else {
            ""
        };
        let event = json!({ "type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code });
        self.ask("Input.dispatchKeyEvent", event);
        self.ask(
            "Input.dispatchKeyEvent",
            json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code }),
        );
    }

    /// The size of the window, and the scheme of its colours.
    pub fn looks(&mut self, (width, height): (u32, u32), scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.ask("Emulation.setDeviceMetricsOverride", size);
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask("Emulation.setEmulatedMedia", feature);
    }

    /// Writes a picture of the page where `POINTSMAN_PICTURES` says, if it says so.
    pub fn picture(&mut self, name: &str) {
        let Ok(dir) = std::env::var("POINTSMAN_PICTURES") else { return };
        use base64::Engine;
        let taken = self.ask("Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        let bytes = base64::engine::general_purpose::STANDARD.decode(text(&taken["data"])).expect("base64");
        std::fs::write(format!("{dir}/{name}.png"), bytes).expect("a file");
    }

    /// What the script of `POINTSMAN_AXE`, axe-core's, finds wrong for those who cannot see or point; nothing
    /// where none is named.
    pub fn barriers(&mut self) -> Value {
        let Ok(script) = std::env::var("POINTSMAN_AXE") else { return json!([]) };
        let script = std::fs::read_to_string(script).expect("a script");
        self.value(&format!("{script}; 0"));
        let found = "v => v.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 200))])";
        self.value(&format!("axe.run().then({found})"))
    }

    /// What the console was told that is wrong, and what was thrown.
    pub fn faults(&self) -> Vec<String> {
        let heard = self.heard.lock().expect("no panic");
        let is_fault = |message: &&Value| match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => {
                ["error", "warning", "assert"].iter().any(|kind| message["params"]["type"] == **kind)
            }
            Some("Log.entryAdded") => message["params"]["entry"]["level"] == "error",
            _ => false,
        };
        heard.iter().filter(is_fault).map(ToString::to_string).collect()
    }

    /// The address of each request.
    pub fn requests(&self) -> Vec<String> {
        let heard = self.heard.lock().expect("no panic");
        let sent = heard.iter().filter(|message| message["method"] == "Network.requestWillBeSent");
        sent.map(|message| text(&message["params"]["request"]["url"])).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends all its processes by itself, if it can.
        let _ = self.input.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        for _ in 0..100 {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
