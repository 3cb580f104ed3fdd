//! The operators' page: its forms, and what an operator sees and does on it in Chromium.

use super::*;
use crate::world::chromium::Chromium;
use crate::world::redis;

/// A form as the page sends it.
fn form(gateway: &Gateway, path: &str, fields: &[(&str, &str)]) -> Ask {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    Ask::new("POST", &format!("http://{}{path}", gateway.admin()))
        .body("application/x-www-form-urlencoded", body)
}

#[tokio::test]
async fn the_page_takes_forms_from_itself_and_from_operators_alone() {
    let (gateway, rogue, app) = World::with_rogue(ADMIN).await;
    let ivan = signed_in(&gateway, &rogue, "u-1", "Иван <b>Иванов</b>").await;
    let id = list(&gateway, "").await[0]["id"].as_str().unwrap().to_owned();
    let own = format!("http://{}", gateway.admin());
    let (operator, home) = (Browser::new(), format!("{own}/"));
    let page = operator.get(&home).await.expect(401);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!page.text().contains("u-1"));
    let token = [("token", TOKEN)];
    for origin in ["http://evil.example", "null", &gateway.world.origin()] {
        let refused =
            operator.send(form(&gateway, "/sign-in", &token).header("Origin", origin)).await.expect(403);
        assert_eq!(refused.header("set-cookie"), None);
    }
    let wrong = form(&gateway, "/sign-in", &[("token", "operators-token")]).header("Origin", &own);
    assert_eq!(operator.send(wrong).await.expect(401).header("set-cookie"), None);
    let in_ = operator.send(form(&gateway, "/sign-in", &token).header("Origin", &own)).await.expect(303);
    let cookie = in_.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict") && !cookie.contains(TOKEN), "{cookie}");
    let page = operator.get(&home).await.expect(200).text();
    assert!(
        page.contains("Иван &#60;b&#62;Иванов&#60;/b&#62;") && page.contains("u-1@school.example"),
        "{page}"
    );
    assert!(!page.contains("<script"));
    gateway.logs("an operator signed in to the page").await;
    // The cookie opens the page, and not what programs use; nor do apps get to see it.
    operator.visit(&gateway.url("/courses")).await.expect(200);
    let seen = app.last().header("cookie");
    assert!(!seen.as_ref().is_some_and(|seen| seen.contains("vestibule-operator")), "{seen:?}");
    operator.get(&format!("{own}/sessions")).await.expect(401);
    for (ask, status) in [
        (form(&gateway, "/end", &[("id", &id)]).header("Origin", "http://evil.example"), 403),
        (
            form(&gateway, "/end", &[("id", &id)])
                .header("Origin", &own)
                .header("Sec-Fetch-Site", "same-site"),
            403,
        ),
        (form(&gateway, "/end", &[("id", &id)]), 403),
        (Ask::new("GET", &format!("{own}/end?id={id}")), 405),
    ] {
        operator.send(ask).await.expect(status);
    }
    Browser::new().send(form(&gateway, "/end", &[("id", &id)]).header("Origin", &own)).await.expect(401);
    assert!(is_in(&gateway, &ivan).await);
    let ended =
        operator.send(form(&gateway, "/end", &[("id", &id)]).header("Origin", &own)).await.expect(303);
    assert!(!is_in(&gateway, &ivan).await);
    assert!(operator.follow(ended).await.text().contains("Sessions ended: 1"));
    // Ended by itself meanwhile: no mistake.
    operator.send(form(&gateway, "/end", &[("id", &id)]).header("Origin", &own)).await.expect(303);
    operator.send(form(&gateway, "/sign-out", &[]).header("Origin", &own)).await.expect(303);
    operator.get(&home).await.expect(401);
}

#[tokio::test]
async fn an_operator_signs_in_to_the_page_finds_a_person_and_ends_their_session() {
    let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
    let other = "[providers.down]\nissuer = \"http://127.0.0.1:9/\"\nclient_id = \"lms\"\nclient_secret = \"s3cret\"\n";
    let config = rogue.table("rogue", "timeout = \"2s\"")
        + &world.app("lms", &app)
        + "provider = \"rogue\"\n"
        + other
        + ADMIN
        + "[[apps.lms.rules]]\npaths = [\"/admin/*\"]\nallow = 'false'\n";
    let gateway = world.start(&config).await;
    for (number, name) in
        ["Мария Петрова", "Пётр Сергеевич Долгоруков-Крымский", "Anna Smith", "Айгуль Зиганшина"]
            .iter()
            .enumerate()
    {
        signed_in(&gateway, &rogue, &format!("5f6d1c0e-{number}"), name).await;
    }
    let ivan = signed_in(&gateway, &rogue, "u-1", "Иван Иванов").await;
    for _ in 0..3 {
        ivan.get(&gateway.url("/admin/users")).await.expect(403);
        Browser::new().get(&gateway.url("/_sso/callback?code=x&state=y")).await.expect(400);
    }
    let browser = Chromium::open().await;
    browser.resize(1200, 1100).await;
    let home = format!("http://{}/", gateway.admin());
    browser.goto(&home).await;
    browser.reads("Ключ оператора").await;
    browser.picture("operators-1-sign-in").await;
    browser.write("#token", "another-token-of-the-operators").await;
    browser.press("form button").await;
    browser.reads("другой ключ").await;
    browser.write("#token", TOKEN).await;
    browser.press("form button").await;
    browser.reads("Открытые сеансы").await;
    for shown in [
        "Иван Иванов",
        "Мария Петрова",
        "Вошли: 5",
        "Нет доступа: 3",
        "Не удалось войти: 3",
        "rogue",
        "не работает",
    ] {
        browser.reads(shown).await;
    }
    browser.picture("operators-2-overview").await;
    browser.write("#q", "иванов").await;
    browser.press(".search button").await;
    browser.reads("Показать все").await;
    let found = browser.text().await;
    assert!(found.contains("Иван Иванов") && !found.contains("Мария"), "{found}");
    browser.picture("operators-3-search").await;
    assert!(is_in(&gateway, &ivan).await);
    browser.press("td button").await;
    browser.reads("Завершено сеансов: 1").await;
    assert!(!is_in(&gateway, &ivan).await);
    browser.resize(390, 844).await;
    browser.goto(&home).await;
    browser.reads("Мария Петрова").await;
    browser.picture("operators-4-phone").await;
    browser.run("document.querySelector('#sessions').scrollIntoView()").await;
    browser.picture("operators-5-phone-sessions").await;
    let overflows = browser.run("return document.documentElement.scrollWidth > window.innerWidth").await;
    assert_eq!(overflows, false, "the page is wider than a phone");
    browser.press("header button").await;
    browser.reads("Ключ оператора").await;
    browser.close().await;
}

#[tokio::test]
async fn the_page_goes_through_many_sessions_and_stays_of_use_while_the_store_is_away() {
    let redis = redis::Server::start(&[]);
    let session = format!(
        "[session]\nstore = \"redis://127.0.0.1:{}\"\nkeys = [\"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=\"]\n",
        redis.port
    );
    let (gateway, rogue, _app) = World::with_rogue(&format!("{ADMIN}{session}")).await;
    let browser = Chromium::reading("en", &[]).await;
    browser.resize(1200, 1100).await;
    browser.goto(&format!("http://{}/", gateway.admin())).await;
    browser.write("#token", TOKEN).await;
    browser.press("form button").await;
    browser.reads("No sessions.").await;
    browser.picture("operators-6-nobody").await;
    let names = [
        "<script>document.title = 'x'</script>",
        "Very-Long-Name-Without-Any-Space-".repeat(8).as_str(),
        "\u{202e}Иван",
    ]
    .map(str::to_owned);
    for number in 0..53 {
        let name = names.get(number).cloned().unwrap_or_else(|| format!("Person {number}"));
        signed_in(&gateway, &rogue, &format!("u-{number}"), &name).await;
    }
    browser.goto(&format!("http://{}/", gateway.admin())).await;
    browser.reads("Further").await;
    browser.picture("operators-7-many").await;
    let rows = async || browser.run("return document.querySelectorAll('tbody tr').length").await;
    assert_eq!(rows().await, 50);
    browser.press("nav a").await;
    browser.reads("Back to the beginning").await;
    assert_eq!(rows().await, 3);
    browser.picture("operators-8-further").await;
    let told = browser.run("return document.querySelector('.chart title').textContent").await;
    assert!(told.as_str().is_some_and(|told| told.contains("Signed in: ")), "{told}");
    let described = "const end = document.querySelector('td button');
        return document.getElementById(end.getAttribute('aria-describedby')).textContent";
    let (whose, title) = (browser.run(described).await, browser.run("return document.title").await);
    assert!(whose.as_str().is_some_and(|name| !name.is_empty()), "{whose}");
    assert_eq!(title, "Sessions and health · Vestibule");
    redis.signal("-STOP");
    browser.goto(&format!("http://{}/", gateway.admin())).await;
    browser.reads("did not answer").await;
    browser.picture("operators-9-store-down").await;
    browser.resize(390, 844).await;
    browser.picture("operators-10-store-down-phone").await;
    redis.signal("-CONT");
    browser.close().await;
}
