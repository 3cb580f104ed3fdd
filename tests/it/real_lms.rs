//! Two gateways with one Redis behind nginx, as the compose file has them, in front of real applications from PyPI: JupyterHub, whose
//! people have servers of their own and talk to them over WebSockets, and Kolibri, a learning platform.
//!
//! A person signs in once in Chromium and works; a gateway is killed, then the other one; they work on, and are out
//! when they sign out at the provider, which tells the gateways. `./test apps` installs the applications, which are large, and runs this.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::deploying::pair::Pair;
use crate::documents::source::root;
use crate::real_proxies::free_port;
use crate::world::Engine;
use crate::world::chromium::Chromium;
use crate::world::program::Program;

/// How long an application may take to start, and to show a page for the first time.
const SLOW: Duration = Duration::from_secs(120);

/// Signs out at the provider; then the app's address asks for the password again.
async fn sign_out(browser: &Chromium, pair: &Pair, picture: &str) {
    browser.goto(&pair.sign_out_at_the_provider().await).await;
    browser.reads("Выйти из школы?").await;
    browser.press("#logout").await;
    browser.picture(&format!("{picture}-4-signed-out")).await;
    at_last(browser, "Вход в школу", || async {
        browser.goto(&pair.url("/")).await;
        browser.text().await.contains("Вход в школу")
    })
    .await;
}

/// Runs a script that tells its end by `window.told`, and waits for that.
async fn told(browser: &Chromium, script: &str) -> Value {
    browser.run(&format!("window.told = null; (async () => {{ {script} }})().catch(error => {{ window.told = `failed: ${{error}}`; }});")).await;
    let told = async {
        loop {
            let told = browser.run("return window.told").await;
            if !told.is_null() {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SLOW, told).await.unwrap_or_else(|_| panic!("no end of {script}"))
}

/// Waits for something that an application may take long to show for the first time.
async fn at_last<F: Future<Output = bool>>(browser: &Chromium, what: &str, shown: impl Fn() -> F) {
    let seen = async {
        while !shown().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(SLOW, seen).await.is_err() {
        panic!("no {what:?} at {}: {}", browser.url().await, browser.text().await);
    }
}

/// Waits until the page says this.
async fn reads_at_last(browser: &Chromium, text: &str) {
    at_last(browser, text, || async { browser.text().await.contains(text) }).await;
}

/// Waits until the address begins so.
async fn is_at_last(browser: &Chromium, url: &str) {
    at_last(browser, url, || async { browser.url().await.as_str().starts_with(url) }).await;
}

/// Waits until a field holds this.
async fn has_at_last(browser: &Chromium, value: &str) {
    let script = "return [...document.querySelectorAll('form input')].map(input => input.value).join()";
    at_last(browser, value, || async { browser.run(script).await.as_str().unwrap().contains(value) }).await;
}

#[tokio::test]
#[ignore = "Kolibri is large: ./test apps installs it"]
async fn kolibri_keeps_who_is_signed_in_while_gateways_are_killed() {
    let (port, content) = (free_port(), free_port());
    let home = tempfile::tempdir().unwrap();
    let kolibri = root().join(".cache/kolibri/bin/kolibri");
    let environment = [
        ("KOLIBRI_HOME", home.path().display().to_string()),
        ("PYTHONPATH", root().join("tests/apps/kolibri").display().to_string()),
        ("PYTHONDONTWRITEBYTECODE", "1".into()),
        ("KOLIBRI_LISTEN_ADDRESS", "127.0.0.1".into()),
        ("KOLIBRI_ZIP_CONTENT_PORT", content.to_string()),
        // It tells nobody that it is there.
        ("KOLIBRI_DISABLE_PING", "1".into()),
        ("KOLIBRI_ZEROCONF_ENABLED", "0".into()),
    ];
    let made = tokio::process::Command::new(&kolibri)
        .args([
            "manage",
            "--settings=school",
            "provisiondevice",
            "--facility",
            "Школа",
            "--preset",
            "nonformal",
        ])
        .args(["--superusername", "director", "--superuserpassword", "пароль"])
        .args(["--language_id", "en", "--noinput"])
        .envs(environment.clone())
        .stdout(Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(made.success());
    let lms = Program::start(kolibri.to_str().unwrap(), |command| {
        command.args(["start", "--foreground", "--settings=school"]).arg(format!("--port={port}"));
        command.envs(environment);
    });
    lms.listens_within(port, SLOW).await;
    let headers = "[apps.lms.headers]\nX-Remote-User = \"login\"\n\
                   X-User-Name = { claim = \"name\", encode = \"percent\" }\n";
    let mut pair = Pair::before(Engine::trusted(), &format!("http://127.0.0.1:{port}"), headers).await;
    let browser = Chromium::reading("en-US", &[]).await;
    browser.goto(&pair.url("/")).await;
    browser.log_in("petrova").await;
    browser.is_at(&pair.url("/en/learn/")).await;
    browser.picture("kolibri-1-welcome").await;

    // Her own page tells what the provider said of her, and takes another name through whichever gateway is left.
    let profile = pair.url("/en/profile/#/edit");
    let mut name = String::from("Петрова Мария Алексеевна");
    for next in ["Мария Алексеевна", "Мария Петрова"] {
        let world = pair.kill_one().await;
        browser.goto("about:blank").await;
        browser.goto(&profile).await;
        has_at_last(&browser, &name).await;
        browser.picture("kolibri-2-profile").await;
        browser.write("form input[type=text]", next).await;
        browser.press("form button[type=submit]").await;
        reads_at_last(&browser, next).await;
        browser.picture("kolibri-3-saved").await;
        name = next.to_owned();
        pair.revive(world).await;
    }
    sign_out(&browser, &pair, "kolibri").await;
    browser.close().await;
}

#[tokio::test]
#[ignore = "JupyterHub is large: ./test apps installs it"]
async fn jupyterhub_keeps_who_is_signed_in_and_their_terminal_while_gateways_are_killed() {
    let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
    let bin = root().join(".cache/jupyterhub/bin");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let hub = Program::start(bin.join("jupyterhub").to_str().unwrap(), |command| {
        command.arg("--config").arg(root().join("tests/apps/jupyterhub/jupyterhub_config.py"));
        command.current_dir(directory.path()).env("DIRECTORY", directory.path()).env("PATH", path);
        command.env("PORT", port.to_string()).env("HUB_PORT", free_port().to_string());
        command.env("PROXY_PORT", free_port().to_string());
        // Its proxy and its people's servers end with its group.
        command.process_group(0);
    });
    hub.listens_within(port, SLOW).await;
    let headers = "[apps.lms.headers]\nX-Remote-User = \"login\"\n";
    let mut pair = Pair::before(Engine::trusted(), &format!("http://127.0.0.1:{port}"), headers).await;
    let browser = Chromium::reading("en-US", &[]).await;
    browser.goto(&pair.url("/")).await;
    browser.log_in("petrova").await;
    // Her own server is started for her, and its page is JupyterLab.
    is_at_last(&browser, &pair.url("/user/petrova/lab")).await;
    reads_at_last(&browser, "Terminal").await;
    browser.picture("jupyterhub-1-lab").await;

    let made = told(
        &browser,
        "const key = document.cookie.split('; ').find(one => one.startsWith('_xsrf=')).slice(6);
         const answer = await fetch('/user/petrova/api/terminals', {method: 'POST', headers: {'X-XSRFToken': key}});
         window.told = (await answer.json()).name;",
    );
    let terminal = made.await;
    let terminal = terminal.as_str().unwrap();
    // What the terminal said before is said again to whoever comes back, so each answer has a label.
    let typed = |label: &str, line: &str| {
        format!(
            "const socket = new WebSocket(location.origin.replace('http', 'ws') + '/user/petrova/terminals/websocket/{terminal}');
             let said = '';
             socket.onopen = () => socket.send(JSON.stringify(['stdin', {line:?} + '; echo {label}=$((++N))\\r']));
             socket.onclose = () => {{ window.told ??= 'closed'; }};
             socket.onmessage = event => {{
                 const [kind, text] = JSON.parse(event.data);
                 if (kind === 'stdout') said += text;
                 const found = said.match(/{label}=(\\d+)/);
                 if (found) window.told = found[1];
             }};"
        )
    };
    assert_eq!(told(&browser, &typed("first", "N=41")).await, "42");
    for (label, answer) in [("second", "43"), ("third", "44")] {
        let world = pair.kill_one().await;
        // The page is loaded anew and the terminal is the same: it knows what was typed before.
        browser.goto(&pair.url("/user/petrova/lab")).await;
        reads_at_last(&browser, "Terminal").await;
        assert_eq!(told(&browser, &typed(label, "true")).await, answer);
        pair.revive(world).await;
    }
    browser.picture("jupyterhub-2-still-in").await;
    browser.goto(&pair.url("/hub/home")).await;
    browser.reads("petrova").await;
    browser.picture("jupyterhub-3-hub").await;
    sign_out(&browser, &pair, "jupyterhub").await;
    browser.close().await;
}
