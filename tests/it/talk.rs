//! Talk's preset, by the configurations in `docs/talk.md` and `docs/ru/talk.md`: a person signs in, renews the
//! session and signs out at the addresses that are registered for Talk.

use serde_json::json;

use crate::world::{Ask, Browser, Engine, Server, World};

/// The apps' part of a document's configuration, in this world.
fn app_of(document: &str, file: &str, world: &World, app: &Server) -> String {
    let text = std::fs::read_to_string(format!("{}/{document}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (_, block) = text.split_once(&format!("```toml {file}\n")).unwrap();
    let block = block.split("```").next().unwrap();
    let table = &block[block.find("[apps.talk]").unwrap()..];
    for stands in ["https://talk.example.org", "http://127.0.0.1:3000"] {
        assert_eq!(table.matches(stands).count(), 1, "{stands} in {document}");
    }
    table.replace("https://talk.example.org", &world.origin()).replace("http://127.0.0.1:3000", &app.origin())
}

#[tokio::test]
async fn talk_works_at_the_addresses_that_are_registered_for_it() {
    for (file, callback, silent, signed_out) in [
        ("cloud.toml", "/login/callback", None, "/logout/callback?logoutId=vestibule"),
        ("on-premise.toml", "/system/authorize", Some("/assets/silent_renew.html"), "/system/logout"),
    ] {
        for document in ["docs/talk.md", "docs/ru/talk.md"] {
            let (world, app) = (World::new(), Server::start().await);
            let origin = world.origin();
            let redirects: Vec<String> = [Some(callback), silent]
                .into_iter()
                .flatten()
                .map(|path| format!("{origin}{path}"))
                .collect();
            // The real provider, which compares addresses letter by letter.
            let registered = json!({
                "redirect_uris": redirects, "post_logout_redirect_uris": [format!("{origin}{signed_out}")],
            });
            let table = Engine::trusted().client(&world, "school", registered, "");
            let config = table + &app_of(document, file, &world, &app);
            let gateway = world.start(&config).await;
            let browser = Browser::new();
            let page = browser.sign_in(&gateway.url("/rooms/7"), "ivanov").await.expect(200);
            assert_eq!(page.url.as_str(), gateway.url("/rooms/7"), "{document} {file}");
            assert_eq!(app.last().header("x-user-email").as_deref(), Some("ivanov@school.example"));

            let frame = |url: &str, site: &str| {
                Ask::navigation(url).instead("Sec-Fetch-Dest", "iframe").instead("Sec-Fetch-Site", site)
            };
            let sent = browser.send(frame(&gateway.url("/_sso/silent"), "same-origin")).await.expect(302);
            let expected = format!("{origin}{}", silent.unwrap_or(callback));
            assert_eq!(sent.location_param("redirect_uri").as_deref(), Some(expected.as_str()));
            let back = browser.send(frame(sent.location().as_str(), "same-site")).await;
            assert!(back.is_redirect() && back.location().as_str().starts_with(&expected), "{back:?}");
            let page = browser.send(frame(back.location().as_str(), "same-origin")).await.expect(200);
            assert!(page.text().contains("ok&#34;:true"), "{page:?}");

            let page = browser.visit(&gateway.url("/_sso/sign-out")).await.expect(200);
            let form = page.form("op.logoutForm").fill("logout", "yes");
            let end = browser.submit(&page, form).await.expect(200);
            assert!(end.url.as_str().starts_with(&gateway.url(signed_out)), "{end:?}");
            browser.fetch(&gateway.url("/rooms/7")).await.expect(401);
            let paths = app.received();
            assert!(
                paths.iter().all(|request| request.path().starts_with("/rooms")),
                "the app never saw ours"
            );
        }
    }
}
