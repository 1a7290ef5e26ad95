//! Drives chromium through chromedriver: as much of W3C WebDriver as these tests need.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The name under which WebDriver hands out an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How long a page may take to come to show what a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);
/// The widest page of a phone that every page must fit.
pub(crate) const PHONE_WIDTH: u32 = 360;

/// A running chromedriver on a port of its own choice. Ends with this value.
pub(crate) struct Driver {
    process: Child,
    base: String,
    agent: ureq::Agent,
}

impl Driver {
    /// Starts one, or prints why these tests are skipped where it or the browser is not installed.
    pub(crate) fn start() -> Option<Driver> {
        for needed in ["chromium", "chromedriver"] {
            if find(needed).is_none() {
                println!("skip: browser tests: no {needed} here: apt-get install chromium chromium-driver");
                return None;
            }
        }
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let port = lines
            .find_map(|line| {
                let line = line.expect("text");
                let (_, port) = line.split_once("started successfully on port ")?;
                port.trim_end_matches('.').parse::<u16>().ok()
            })
            .expect("chromedriver says its port");
        // What it says later is read and dropped, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Some(Driver { process, base: format!("http://127.0.0.1:{port}"), agent: config.into() })
    }

    /// Opens a browser with a window as wide as a phone; with or without JavaScript.
    pub(crate) fn browser(&self, javascript: bool) -> Browser<'_> {
        let mut options = json!({
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        });
        if !javascript {
            options["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
        }
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let value = self.call("POST", "/session", Some(wanted)).expect("a browser opens");
        let id = value["sessionId"].as_str().expect("a session").to_owned();
        let browser = Browser { driver: self, id };
        // A phone's layout keeps to the width. (The driver's own emulation of phones clicks by touch,
        // and then waits forever for a script on pages that may run none.)
        let metrics = json!({"width": PHONE_WIDTH, "height": 740, "deviceScaleFactor": 1, "mobile": true});
        browser.command("Emulation.setDeviceMetricsOverride", metrics);
        browser
    }

    /// One command; its value, or the error's name.
    fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, String> {
        let url = format!("{}{path}", self.base);
        let answer = match (method, body) {
            ("GET", _) => self.agent.get(&url).call(),
            ("DELETE", _) => self.agent.delete(&url).call(),
            (_, body) => {
                let body = body.unwrap_or_else(|| json!({})).to_string();
                self.agent.post(&url).header("content-type", "application/json").send(body)
            }
        };
        // Nothing here panics: a browser is closed while a failed test is unwound, too.
        let text = answer.and_then(|mut answer| answer.body_mut().read_to_string());
        let text = text.map_err(|error| format!("chromedriver does not answer: {error}"))?;
        let mut json: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        match json["value"]["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", json["value"]["message"])),
            None => Ok(json["value"].take()),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A program in the search path.
fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|one| one.is_file())
}

/// One browser. Closes with this value.
pub(crate) struct Browser<'a> {
    driver: &'a Driver,
    id: String,
}

impl Browser<'_> {
    fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, String> {
        self.driver.call(method, &format!("/session/{}{path}", self.id), body)
    }

    /// Goes to an address and waits until it is loaded.
    pub(crate) fn open(&self, url: &str) {
        self.call("POST", "/url", Some(json!({ "url": url }))).expect("the page opens");
    }

    /// Loads the page again.
    pub(crate) fn reload(&self) {
        self.call("POST", "/refresh", None).expect("the page loads again");
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        self.call("GET", "/url", None).expect("an address").as_str().expect("text").to_owned()
    }

    fn element(&self, css: &str) -> Result<String, String> {
        let found = self.call("POST", "/element", Some(json!({"using": "css selector", "value": css})))?;
        Ok(found[ELEMENT].as_str().expect("an element").to_owned())
    }

    /// The visible text of the first element.
    pub(crate) fn text(&self, css: &str) -> Result<String, String> {
        let element = self.element(css)?;
        let text = self.call("GET", &format!("/element/{element}/text"), None)?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the text of an element is as wanted; the text.
    pub(crate) fn wait_for(&self, css: &str, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = self.text(css);
            match &text {
                Ok(text) if wanted(text) => return text.clone(),
                _ if Instant::now() > end => panic!("{} shows {text:?} in {css}", self.url()),
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Clicks as a finger does: at the element's place on the page.
    pub(crate) fn click(&self, css: &str) {
        let element = self.element(css).unwrap_or_else(|error| panic!("{css}: {error}"));
        self.call("POST", &format!("/element/{element}/click"), None)
            .unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Types into an element.
    pub(crate) fn fill(&self, css: &str, text: &str) {
        let element = self.element(css).unwrap_or_else(|error| panic!("{css}: {error}"));
        self.call("POST", &format!("/element/{element}/value"), Some(json!({ "text": text })))
            .unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Presses the tab key once.
    pub(crate) fn press_tab(&self) {
        let keys = json!([{"type": "keyDown", "value": "\u{E004}"}, {"type": "keyUp", "value": "\u{E004}"}]);
        let keyboard = json!({"actions": [{"type": "key", "id": "keyboard", "actions": keys}]});
        self.call("POST", "/actions", Some(keyboard)).expect("a key is pressed");
    }

    /// What a script of the test finds out. It runs even where pages may run none.
    pub(crate) fn ask(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", Some(json!({"script": script, "args": []})))
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The tab that commands go to.
    pub(crate) fn tab(&self) -> String {
        self.call("GET", "/window", None).expect("a tab").as_str().expect("text").to_owned()
    }

    /// Opens another tab and turns to it.
    pub(crate) fn new_tab(&self) -> String {
        let value = self.call("POST", "/window/new", Some(json!({"type": "tab"}))).expect("a tab opens");
        let tab = value["handle"].as_str().expect("text").to_owned();
        self.turn_to(&tab);
        tab
    }

    /// Turns to a tab.
    pub(crate) fn turn_to(&self, tab: &str) {
        self.call("POST", "/window", Some(json!({ "handle": tab }))).expect("the tab is there");
    }

    /// Asks of pages what a reader's system asks: light or dark.
    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.command("Emulation.setEmulatedMedia", json!({"media": "screen", "features": features}));
    }

    /// A command of chromium's own, for what WebDriver has no word for.
    fn command(&self, name: &str, params: Value) {
        let command = json!({"cmd": name, "params": params});
        self.call("POST", "/goog/cdp/execute", Some(command)).expect("chromium does so");
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        let _ = self.call("DELETE", "", None);
    }
}
