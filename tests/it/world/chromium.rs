//! Chromium, driven over WebDriver, with a profile of its own.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::time::Duration;

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tempfile::TempDir;

use super::program::Program;
use super::wire::PATIENCE;

/// Set to anything, it makes the tests write the README's pictures into `docs/screenshots`.
const KEEP: &str = "KEEP_SCREENSHOTS";

/// The pictures that the README shows.
const KEPT: [&str; 4] = ["demo-1-sign-in", "demo-2-student", "demo-4-not-allowed", "demo-6-signed-out"];

/// A browser window.
pub struct Chromium {
    client: Client,
    _driver: Program,
    _profile: TempDir,
}

impl Chromium {
    /// Opens one for a person who reads Russian.
    pub async fn open() -> Self {
        Self::reading("ru-RU", &[]).await
    }

    /// Opens one for a person who reads this language, with further arguments.
    pub async fn reading(language: &str, arguments: &[&str]) -> Self {
        Self::with(language, arguments, json!({})).await
    }

    /// Opens one with further arguments and preferences.
    pub async fn with(language: &str, arguments: &[&str], preferences: serde_json::Value) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut starts = 0;
        let (driver, said) = loop {
            let driver = Program::start("chromedriver", |command| {
                // The browser's processes end with the driver's group.
                command.arg("--port=0").env("HOME", profile.path()).process_group(0);
            });
            let said = driver.says_one_of(&["started successfully on port ", "Exiting..."]).await;
            if said.contains("started successfully") {
                break (driver, said);
            }
            // It takes one port for both families, which may be free in the one and not in the other.
            starts += 1;
            assert!(starts < 10, "{said}");
        };
        let port = said.split("successfully on port ").nth(1).unwrap();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        let user_data = format!("--user-data-dir={}", profile.path().join("profile").display());
        let accept = format!("--accept-lang={language}");
        let fixed = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--window-size=1000,760",
            &user_data,
            &accept,
        ];
        let all: Vec<&str> = fixed.iter().chain(arguments).copied().collect();
        let mut chosen = preferences;
        chosen["intl.accept_languages"] = json!(language);
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".into(), json!({"args": all, "prefs": chosen}));
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Self { client, _driver: driver, _profile: profile }
    }

    /// Opens an address.
    pub async fn goto(&self, url: &str) {
        tokio::time::timeout(PATIENCE, self.client.goto(url)).await.expect("a page in time").unwrap();
    }

    /// Where it is.
    pub async fn url(&self) -> url::Url {
        self.client.current_url().await.unwrap()
    }

    /// Waits until the address begins so.
    pub async fn is_at(&self, url: &str) {
        let there = async {
            while !self.url().await.as_str().starts_with(url) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, there).await;
        assert!(in_time.is_ok(), "at {} instead of {url}: {}", self.url().await, self.text().await);
    }

    /// What a person reads on the page.
    pub async fn text(&self) -> String {
        let text =
            self.client.execute("return document.body ? document.body.innerText : ''", Vec::new()).await;
        text.unwrap().as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page says this.
    pub async fn reads(&self, wanted: &str) {
        let found = async {
            while !self.text().await.contains(wanted) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, found).await;
        assert!(in_time.is_ok(), "no {wanted:?} at {}: {}", self.url().await, self.text().await);
    }

    /// Waits for an element and writes into it.
    pub async fn write(&self, css: &str, text: &str) {
        let element = self.element(css).await;
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    /// Waits for an element and presses it.
    pub async fn press(&self, css: &str) {
        self.element(css).await.click().await.unwrap();
    }

    /// Chooses a file in a form.
    pub async fn attach(&self, css: &str, file: &std::path::Path) {
        self.element(css).await.send_keys(file.to_str().unwrap()).await.unwrap();
    }

    /// Forgets every cookie that the page's site can have, as a person does who cleans up.
    pub async fn forget_cookies(&self) {
        self.client.delete_all_cookies().await.unwrap();
    }

    /// Runs a script of the test's own on the page.
    pub async fn run(&self, script: &str) -> serde_json::Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Waits until an element can be seen.
    async fn element(&self, css: &str) -> fantoccini::elements::Element {
        let seen = async {
            loop {
                for element in self.client.find_all(Locator::Css(css)).await.unwrap_or_default() {
                    if element.is_displayed().await.unwrap_or(false) {
                        return element;
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, seen).await {
            Ok(element) => element,
            Err(_) => panic!("no {css} at {}: {}", self.url().await, self.text().await),
        }
    }

    /// Goes into the first frame of the page.
    pub async fn enter_frame(&self) {
        self.element("iframe").await.enter_frame().await.unwrap();
    }

    /// Waits until the page in the frame says this. It is entered again each time: a page of another site that takes
    /// its place may leave the driver outside.
    pub async fn frame_reads(&self, wanted: &str) {
        let read = async || {
            self.client.enter_parent_frame().await.ok()?;
            let frame = self.client.find(Locator::Css("iframe")).await.ok()?;
            frame.enter_frame().await.ok()?;
            let text = self.client.execute("return document.body.innerText", Vec::new()).await.ok()?;
            text.as_str().filter(|text| text.contains(wanted)).map(drop)
        };
        let found = async {
            while read().await.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, found).await;
        assert!(in_time.is_ok(), "no {wanted:?} in the frame: {}", self.text().await);
    }

    /// Comes out of it.
    pub async fn leave_frame(&self) {
        self.client.enter_parent_frame().await.unwrap();
    }

    /// Waits for another window and goes there.
    pub async fn enter_new_window(&self) {
        let own = self.client.window().await.unwrap();
        let found = async {
            loop {
                let windows = self.client.windows().await.unwrap();
                if let Some(other) = windows.into_iter().find(|window| *window != own) {
                    return other;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let other = tokio::time::timeout(PATIENCE, found).await.expect("another window");
        self.client.switch_to_window(other).await.unwrap();
    }

    /// Signs this person in on the real provider's page.
    pub async fn log_in(&self, login: &str) {
        self.write("[name=login]", login).await;
        self.write("[name=password]", "пароль").await;
        self.press("#login button").await;
    }

    /// Keeps a picture of the page.
    pub async fn picture(&self, name: &str) {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let kept = std::env::var_os(KEEP).is_some() && KEPT.contains(&name);
        let dir = root.join(if kept { "docs/screenshots" } else { "target/screenshots" });
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(format!("{name}.png")), self.client.screenshot().await.unwrap()).unwrap();
    }

    /// Makes the window this large.
    pub async fn resize(&self, width: u32, height: u32) {
        self.client.set_window_size(width, height).await.unwrap();
    }

    /// Closes the window. A test that fails before leaves that to the driver's end.
    pub async fn close(self) {
        self.client.clone().close().await.unwrap();
    }
}
