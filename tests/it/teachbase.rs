//! An LMS as Teachbase is one, by the very configurations of `docs/teachbase.md` and its Russian side.

use serde_json::json;

use crate::documents::source::document;
use crate::world::toolkit::Toolkit;
use crate::world::{Ask, Browser, Gateway, Rogue, Server, World};

const GUIDES: [&str; 2] = ["docs/teachbase.md", "docs/ru/teachbase.md"];
const CALLBACK: &str = "/auth/sso/oauth/callback";

/// A configuration of the guide, with these other addresses and secrets in place of the guide's.
async fn gateway(guide: &str, file: &str, world: World, instead: &[(&str, String)]) -> Gateway {
    let guide = document(guide);
    let mut config = guide.blocks().into_iter().find(|block| block.file == file).unwrap().text;
    let origin = world.origin();
    let own = [("https://lms.example.org", origin)];
    for (stands, takes_its_place) in own.iter().chain(instead) {
        assert_eq!(config.matches(stands).count(), 1, "{stands} in {file}");
        config = config.replace(stands, takes_its_place);
    }
    world.start(&config).await
}

/// What the LMS learned, in the order of Teachbase's fields.
fn person(app: &Server) -> [Option<String>; 5] {
    let request = app.last();
    ["email", "name", "last-name", "phone", "uid"].map(|field| request.header(&format!("x-user-{field}")))
}

fn known(fields: [&str; 5]) -> [Option<String>; 5] {
    fields.map(|field| Some(field.to_owned()).filter(|field| !field.is_empty()))
}

const IVAN: &str = "%D0%98%D0%B2%D0%B0%D0%BD";
const IVANOV: &str = "%D0%98%D0%B2%D0%B0%D0%BD%D0%BE%D0%B2";

#[tokio::test]
async fn with_openid_connect_the_default_fields_arrive_and_sign_out_names_the_providers_session() {
    for guide in GUIDES {
        let (world, rogue, app) = (World::new(), Rogue::start().await, Server::start().await);
        rogue.person(json!({
            "sub": "5f6d1c0e", "email": "ivanov@school.example", "given_name": "Иван", "family_name": "Иванов",
            "phone_number": "+79001234567",
        }));
        let instead = [
            ("https://id.example.org", rogue.issuer().to_owned()),
            ("{ env = \"LMS_CLIENT_SECRET\" }", "\"s3cret\"".to_owned()),
            ("http://127.0.0.1:3000", app.origin()),
        ];
        let gateway = gateway(guide, "config.toml", world, &instead).await;
        let browser = Browser::new();
        let begun = browser.get(&gateway.url("/courses")).await.expect(302);
        assert_eq!(begun.location_param("redirect_uri"), Some(gateway.url(CALLBACK)), "{guide}");
        browser.visit(&gateway.url("/courses")).await.expect(200);
        let expected = known(["ivanov@school.example", IVAN, IVANOV, "+79001234567", "5f6d1c0e"]);
        assert_eq!(person(&app), expected, "{guide}");
        let leave = Ask::navigation(&gateway.url("/_sso/sign-out")).instead("Sec-Fetch-Site", "same-origin");
        let leaving = browser.send(leave).await.expect(302);
        assert_eq!(leaving.location_param("session_id").as_deref(), Some("provider-session-1"), "{guide}");
        assert!(leaving.location_param("id_token_hint").is_some(), "{guide}");
    }
}

#[tokio::test]
async fn with_plain_oauth2_a_django_server_says_who_came() {
    let toolkit = Toolkit::shared();
    for guide in GUIDES {
        let (world, app) = (World::new(), Server::start().await);
        let redirect = format!("{}{CALLBACK}", world.origin());
        let (client_id, secret) = toolkit.client(&world, json!({"redirect_uris": [redirect]}));
        let at = &toolkit.issuer;
        let instead = [
            ("https://id.example.org/oauth/authorize", format!("{at}/o/authorize/")),
            ("https://id.example.org/oauth/token", format!("{at}/o/token/")),
            ("https://id.example.org/api/v1/me", format!("{at}/api/v1/me")),
            ("\"lms\"", format!("{client_id:?}")),
            ("{ env = \"LMS_CLIENT_SECRET\" }", format!("{secret:?}")),
            ("http://127.0.0.1:3000", app.origin()),
        ];
        let gateway = gateway(guide, "oauth2.toml", world, &instead).await;
        Browser::new().sign_in(&gateway.url("/courses"), "ivanov").await.expect(200);
        assert_eq!(app.last().target(), "/courses", "{guide}");
        assert_eq!(person(&app), known(["ivanov@school.example", IVAN, IVANOV, "", "123"]), "{guide}");
        // Nobody's e-mail address is needed to be known.
        Browser::new().sign_in(&gateway.url("/"), "sidorova").await.expect(200);
        let [email, .., uid] = person(&app);
        assert_eq!((email, uid.as_deref()), (None, Some("125")), "{guide}");
    }
}
