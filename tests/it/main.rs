//! The gateway from outside: the real binary, real connections, a real provider and a provider that misbehaves.
//!
//! The list of modules is the table of contents; each test's name is a sentence that is true.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::let_underscore_must_use,
    reason = "nothing is exported; a test fails by panicking, reads the real clock, and tells on stderr what happened"
)]

/// What the tests run the gateway in.
mod world;

/// The test bed itself does what the tests rely on.
mod test_bed;

/// The configuration and the commands that read it.
mod configuration;

/// What a request without a session gets.
mod without_a_session;

/// A form that came without a session, kept and sent again.
mod kept_forms;

/// What scripts of other origins may read.
mod cross_origin;

/// The script that warns before a session ends, and renews it.
mod session_script;

/// Sign-in through the real provider, in both its shapes.
mod signing_in;

/// Every way in which the answer of a sign-in can come back.
mod response_modes;

/// Several providers for one app.
mod choosing_a_provider;

/// A login that a portal asks for.
mod initiating;

/// Tokens that are bound to a key of ours.
mod dpop;

/// How the gateway proves to a provider who it is.
mod client_authentication;

/// How an authorization request travels, and what it asks for.
mod authorization_requests;

/// What a failed sign-in gets.
mod failed_sign_in;

/// Every way in which an ID token can be wrong.
mod id_token;

/// Every way in which another answer of the provider can be wrong.
mod provider_answers;

/// Signed and encrypted answers, right and wrong.
mod encrypted_answers;

/// Plain OAuth 2.0, without ID tokens.
mod plain_oauth2;

/// A discovery document and keys that are wrong.
mod metadata;

/// A provider that is down, slow, or changes its keys.
mod provider_down;

/// Claims to headers, and headers that a client forges.
mod identity_headers;

/// The signed statement of who is signed in.
mod identity_statement;

/// Who may enter.
mod access_rules;

/// Clients of an API, with access tokens.
mod bearer_tokens;

/// A stronger or newer sign-in for some paths.
mod step_up;

/// A session that is renewed in a hidden frame.
mod silent;

/// Sign-in by QR code on a screen without a keyboard.
mod device;

/// Talk, at the addresses that are registered for it.
mod talk;

/// `vestibule explain` and the gateway say the same.
mod explaining;

/// FAPI 2.0 Security Profile by one line.
mod fapi2;

/// `vestibule register` makes a client of a provider.
mod registering;

/// `vestibule doctor` finds what would fail.
mod doctor;

/// How long a sign-in lasts, and what survives.
mod sessions;

/// Operators see and end sessions.
mod operating_sessions;

/// A gateway that is killed a hundred times.
mod killed;

/// Two gateways over one Redis, which goes wrong in every way.
mod many_gateways;

/// Tokens refreshed beside the requests, and revoked after them.
mod refreshing;

/// Sign-ins that lead nowhere.
mod loops;

/// One session for all apps below a domain.
mod one_session_for_many_apps;

/// An app in a frame of another site's page.
mod embedding;

/// Sign-out, here and at the provider.
mod signing_out;

/// Sign-out at an app's own address, and the app's cookies.
mod app_logout;

/// The app told of a session's end.
mod app_told;

/// Sign-outs that the provider tells of without a browser.
mod back_channel_logout;

/// A sign-out that one of two gateways is told of.
mod told_to_one_gateway;

/// Sign-outs that the provider's pages tell of in frames.
mod front_channel_logout;

/// What goes through the gateway, and what is made anew on the way.
mod proxying;

/// Apps and clients that break HTTP.
mod odd_apps;

/// Many people, apps and providers at once.
mod many_people;

/// WebSockets through the gateway.
mod websockets;

/// The process: start, drain, limits, TLS.
mod process;

/// What another proxy is told that asks.
mod behind_a_proxy;

/// Behind nginx and Caddy, by the configurations in `deploy/`.
mod real_proxies;

/// The unit, the image, the compose file and the manifests in `deploy/`.
mod deploying;

/// Chromium, Radicale and Django: a person signs in, works, and signs out.
mod real_apps;

/// JupyterHub and Kolibri behind two gateways.
mod real_lms;

/// Sign-in and sign-out with providers of other makes.
mod other_engines;

/// Trusted.ID: each member of its discovery document.
mod trusted_id;

/// Indeed AM: its permissions, and attributes of the directory.
mod indeed_am;

/// The guides for these providers, by their configurations.
mod provider_guides;

/// An LMS that signs people in as Teachbase does, by the guides' configurations.
mod teachbase;

/// The demo as a newcomer sees it.
mod demo;

/// What the documents say.
mod documents;
