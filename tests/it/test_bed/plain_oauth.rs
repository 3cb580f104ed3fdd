//! django-oauth-toolkit does what tests of plain OAuth 2.0 rely on, asked by a client that is not the gateway.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::Url;

use crate::world::browser::Response;
use crate::world::{Ask, Browser, Toolkit, World, keys};

/// Its endpoint answers this form from this client.
async fn ask(toolkit: &Toolkit, path: &str, client: &(String, &str), form: &[(&str, &str)]) -> Response {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let credentials = STANDARD.encode(format!("{}:{}", encode(&client.0), encode(client.1)));
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let ask = Ask::new("POST", &format!("{}{path}", toolkit.issuer))
        .header("Authorization", format!("Basic {credentials}"))
        .body("application/x-www-form-urlencoded", form);
    Browser::new().send(ask).await
}

async fn me(toolkit: &Toolkit, token: &Value) -> Response {
    let ask = Ask::script("GET", &format!("{}/api/v1/me", toolkit.issuer))
        .header("Authorization", format!("Bearer {}", token.as_str().unwrap()));
    Browser::new().send(ask).await
}

#[tokio::test]
async fn the_toolkit_knows_people_by_number_and_nothing_of_openid() {
    let (toolkit, world, browser) =
        (Toolkit::own(json!({"access_token_ttl": 5})), World::new(), Browser::new());
    let metadata = browser.get(&format!("{}/.well-known/oauth-authorization-server", toolkit.issuer)).await;
    let metadata = metadata.expect(200).json();
    assert_eq!(metadata["issuer"], toolkit.issuer);
    browser.get(&format!("{}/.well-known/openid-configuration", toolkit.issuer)).await.expect(404);

    let client = toolkit.client(&world, json!({"consent": true}));
    let (redirect_uri, verifier) = (format!("{}/_sso/callback", world.origin()), "v".repeat(43));
    let url = Url::parse_with_params(
        metadata["authorization_endpoint"].as_str().unwrap(),
        [
            ("client_id", client.0.as_str()),
            ("response_type", "code"),
            ("redirect_uri", &redirect_uri),
            ("state", "состояние"),
            ("code_challenge", &keys::hash(&verifier)),
            ("code_challenge_method", "S256"),
        ],
    );
    let page = browser.sign_in(url.unwrap().as_str(), "ivanov").await.expect(200);
    let back = browser.submit_once(&page, page.form("authorizationForm")).await.expect(302);
    assert_eq!(back.location_param("state").as_deref(), Some("состояние"));
    let code = back.location_param("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", &verifier),
    ];
    let tokens = ask(&toolkit, "/o/token/", &client, &form).await.expect(200).json();
    assert!(tokens["id_token"].is_null() && tokens["expires_in"] == 5, "{tokens}");
    let person = me(&toolkit, &tokens["access_token"]).await.expect(200).json();
    assert_eq!((&person["id"], &person["email"]), (&json!(123), &json!("ivanov@school.example")));
    assert_eq!((&person["name"], &person["sub"]), (&json!("Иван Иванов"), &Value::Null));

    let form =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    let newer = ask(&toolkit, "/o/token/", &client, &form).await.expect(200).json();
    ask(&toolkit, "/o/token/", &client, &form).await.expect(400);
    assert_eq!((toolkit.count("authorization_code"), toolkit.count("refresh_token")), (1, 2));
    let form = [("token", newer["access_token"].as_str().unwrap())];
    ask(&toolkit, "/o/revoke_token/", &client, &form).await.expect(200);
    assert!(matches!(me(&toolkit, &newer["access_token"]).await.status, 401 | 403));
}

#[tokio::test]
async fn the_toolkit_asks_for_pkce_and_tells_nobody_without_a_token_who_they_are() {
    let (toolkit, world) = (Toolkit::shared(), World::new());
    assert!(matches!(me(&toolkit, &json!("made-up")).await.status, 401 | 403));
    let (client_id, _) = toolkit.client(&world, json!({}));
    let url = Url::parse_with_params(
        &format!("{}/o/authorize/", toolkit.issuer),
        [
            ("client_id", client_id.as_str()),
            ("response_type", "code"),
            ("redirect_uri", &format!("{}/_sso/callback", world.origin())),
        ],
    );
    let browser = Browser::new();
    let page = browser.visit(url.unwrap().as_str()).await.expect(200);
    let form = page.form("login").fill("login", "sidorova").fill("password", "пароль");
    let signed_in = browser.submit_once(&page, form).await.expect(302);
    let refused = browser.get(signed_in.location().as_str()).await.expect(302);
    assert_eq!(refused.location_param("error").as_deref(), Some("invalid_request"));
}
