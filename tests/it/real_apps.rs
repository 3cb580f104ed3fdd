//! Chromium signs a person in through the real provider to real apps that trust a header and were not changed
//! for us, uses them, and signs out.

use std::path::Path;
use std::process::Stdio;

use crate::real_proxies::free_port;
use crate::world::chromium::Chromium;
use crate::world::program::Program;
use crate::world::{Engine, Gateway, World};

const HEADERS: &str = r#"
[apps.lms.headers]
X-Remote-User = "login"
X-User-Login = "login"
X-User-First-Name = { claim = "given_name", encode = "percent" }
X-User-Email = "email"
X-User-Groups = { claim = "custom_fields.groups", join = "," }
"#;

/// A gateway in front of what listens on this port.
async fn gateway(engine: &Engine, port: u16) -> Gateway {
    gateway_with(engine, port, "").await
}

/// The same with these further lines.
async fn gateway_with(engine: &Engine, port: u16, lines: &str) -> Gateway {
    let world = World::new();
    let app = world.app_at("lms", &world.origin(), &format!("http://127.0.0.1:{port}"));
    let config = engine.table(&world, "school", "") + &app + HEADERS + lines;
    world.start(&config).await
}

/// Django's admin on this port, with its data in this directory.
async fn django(dir: &Path, port: u16) -> Program {
    let site = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/apps/django_school.py");
    let database = dir.join("db.sqlite3");
    let migrated = tokio::process::Command::new("/usr/bin/python3")
        .args([site, "migrate"])
        .env("DATABASE", &database)
        .stdout(Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(migrated.success());
    let django = Program::start("/usr/bin/python3", |command| {
        command.args([site, "runserver", "--noreload", "--insecure"]).arg(format!("127.0.0.1:{port}"));
        command.env("DATABASE", &database);
    });
    django.listens_on(port).await;
    django
}

/// Signs out here and at the provider, and is asked for the password again afterwards.
async fn sign_out(browser: &Chromium, gateway: &Gateway, wanted: &str, picture: &str) {
    browser.goto(&gateway.url("/_sso/sign-out")).await;
    browser.reads("Выйти из школы?").await;
    browser.picture(&format!("{picture}-5-provider-sign-out")).await;
    browser.press("#logout").await;
    browser.is_at(&gateway.url("/_sso/signed-out")).await;
    browser.picture(&format!("{picture}-6-signed-out")).await;
    browser.goto(&gateway.url(wanted)).await;
    browser.reads("Вход в школу").await;
}

#[tokio::test]
async fn radicale_knows_who_is_signed_in_keeps_their_calendar_and_is_left_again() {
    let (engine, port, dir) = (Engine::trusted(), free_port(), tempfile::tempdir().unwrap());
    let config = dir.path().join("radicale.conf");
    let storage = dir.path().join("collections");
    let text = format!(
        "[server]\nhosts = 127.0.0.1:{port}\n[auth]\ntype = http_x_remote_user\n[rights]\ntype = owner_only\n\
         [storage]\nfilesystem_folder = {}\n[web]\ntype = internal\n",
        storage.display()
    );
    std::fs::write(&config, text).unwrap();
    let radicale = Program::start("radicale", |command| {
        command.arg("--config").arg(&config);
    });
    radicale.listens_on(port).await;
    let gateway = gateway(&engine, port).await;
    let browser = Chromium::open().await;
    browser.goto(&gateway.url("/.web/")).await;
    browser.picture("radicale-1-sign-in").await;
    browser.log_in("petrova").await;
    browser.is_at(&gateway.url("/.web")).await;
    browser.picture("radicale-2-welcome").await;
    // Radicale's page asks for a name; whom it believes is the header.
    browser.write("[data-name=user]", "petrova").await;
    browser.press("#loginscene button").await;
    browser.press("#collectionsscene [data-name=new]").await;
    browser.write("#createcollectionscene [data-name=displayname]", "Расписание 10 «А»").await;
    browser.picture("radicale-3-new-calendar").await;
    browser.press("#createcollectionscene [data-name=submit]").await;
    browser.reads("Расписание 10 «А»").await;
    browser.picture("radicale-4-calendar").await;
    let own = storage.join("collection-root/petrova");
    let calendars: Vec<_> = std::fs::read_dir(&own).unwrap().collect();
    assert!(calendars.iter().any(|entry| entry.as_ref().unwrap().path().is_dir()), "{calendars:?}");
    assert!(!Path::new(&storage).join("collection-root/root").exists());
    sign_out(&browser, &gateway, "/.web/", "radicale").await;
    browser.close().await;
}

#[tokio::test]
async fn django_admin_greets_who_is_signed_in_saves_what_they_enter_and_is_left_again() {
    let (engine, port, dir) = (Engine::trusted(), free_port(), tempfile::tempdir().unwrap());
    let _django = django(dir.path(), port).await;
    let gateway = gateway(&engine, port).await;
    let browser = Chromium::open().await;
    browser.goto(&gateway.url("/admin/")).await;
    browser.picture("django-1-sign-in").await;
    browser.log_in("petrova").await;
    browser.is_at(&gateway.url("/admin/")).await;
    browser.reads("МАРИЯ").await;
    browser.picture("django-2-welcome").await;
    browser.goto(&gateway.url("/admin/auth/group/add/")).await;
    browser.write("#id_name", "Кружок «Химия»").await;
    browser.picture("django-3-new-group").await;
    browser.press("[name=_save]").await;
    browser.reads("Кружок «Химия»").await;
    browser.picture("django-4-group").await;
    sign_out(&browser, &gateway, "/admin/", "django").await;

    // A student is known, and let in no further than Django lets a student.
    browser.log_in("ivanov").await;
    browser.is_at(&gateway.url("/admin/login/")).await;
    browser.reads("ivanov").await;
    browser.close().await;
}

/// The cookies of the page that a script of its own can read.
async fn cookies(browser: &Chromium) -> String {
    browser.run("return document.cookie").await.as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn djangos_own_sign_out_signs_out_here_and_at_the_provider_and_the_next_person_finds_nothing_of_the_last()
 {
    let (engine, port, dir) = (Engine::trusted(), free_port(), tempfile::tempdir().unwrap());
    let _django = django(dir.path(), port).await;
    let lines = "[apps.lms.logout]\npaths = [\"/admin/logout/\"]\n\
        clear_cookies = [\"sessionid\", \"legacy*\", { name = \"deep\", path = \"/admin\" }]\n";
    let gateway = gateway_with(&engine, port, lines).await;
    let browser = Chromium::open().await;
    browser.goto(&gateway.url("/admin/")).await;
    browser.log_in("petrova").await;
    browser.is_at(&gateway.url("/admin/")).await;
    browser.reads("МАРИЯ").await;
    browser.run("document.cookie = 'legacy_a=petrova; path=/'; document.cookie = 'theme=dark; path=/'").await;

    // Django refuses a form without its token: nobody has left.
    let posted = "fetch('/admin/logout/', {method: 'POST'}).then(a => window.posted = a.status)";
    browser.run(posted).await;
    let status = async {
        loop {
            let status = browser.run("return window.posted || 0").await;
            if status != 0 {
                return status;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    assert_eq!(status.await, 403);
    browser.goto(&gateway.url("/admin/")).await;
    browser.reads("МАРИЯ").await;

    browser.press("#user-tools a[href='/admin/logout/']").await;
    browser.reads("Выйти из школы?").await;
    let mut at_provider = browser.url().await;
    at_provider.set_query(None);
    browser.press("#logout").await;
    browser.is_at(&gateway.url("/_sso/signed-out")).await;
    let left = cookies(&browser).await;
    assert!(left.contains("theme=dark") && !left.contains("petrova"), "{left}");
    browser.goto(&gateway.url("/admin/")).await;
    browser.reads("Вход в школу").await;

    // Signed out at the provider alone; another person comes over the session that still stands.
    browser.log_in("petrova").await;
    browser.is_at(&gateway.url("/admin/")).await;
    browser.reads("МАРИЯ").await;
    browser
        .run("document.cookie = 'legacy_b=petrova; path=/'; document.cookie = 'deep=petrova; path=/admin'")
        .await;
    assert!(cookies(&browser).await.contains("deep=petrova"));
    browser.goto(at_provider.as_str()).await;
    browser.press("#logout").await;
    browser.reads("Вы вышли").await;
    browser.goto(&gateway.url("/_sso/sign-in?return_to=/admin/")).await;
    browser.log_in("ivanov").await;
    browser.is_at(&gateway.url("/admin/login/")).await;
    browser.reads("ivanov").await;
    let left = cookies(&browser).await;
    assert!(left.contains("theme=dark") && !left.contains("petrova"), "{left}");
    browser.close().await;
}
