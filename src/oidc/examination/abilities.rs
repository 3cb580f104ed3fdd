//! What a provider announces of itself (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2) beside what the
//! settings ask of it. A member that is not announced says nothing: many providers leave most of them out.

use serde_json::{Map, Value};

use crate::foundation::finding::Finding;
use crate::oidc::carriage::Carriage;
use crate::oidc::client_choice::is_offered;
use crate::oidc::metadata::{Metadata, Remark, Tells};
use crate::oidc::{Algorithm, Protocol, ResponseMode, Settings};

const METHODS: &str = "token_endpoint_auth_methods_supported";

/// How bad it is that something is not announced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lack {
    /// Sign-in fails.
    Fails,
    /// Something is not as the settings say, or the provider merely does not say all that it can.
    MayMatter,
}

struct Wanted<'a> {
    member: &'static str,
    code: &'static str,
    values: Vec<&'a str>,
    lack: Lack,
    mend: &'static str,
}

/// What is lacking, and what is odd.
pub(in crate::oidc) fn abilities(
    settings: &Settings,
    metadata: &Metadata,
    document: &Map<String, Value>,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = metadata.remarks.iter().filter_map(remark).collect();
    let announced = |member: &str| -> Option<Vec<&str>> {
        Some(document.get(member)?.as_array()?.iter().filter_map(Value::as_str).collect())
    };
    for Wanted { member, code, values, lack, mend } in wanted(settings) {
        let Some(offered) = announced(member) else { continue };
        let missing: Vec<&str> = values.into_iter().filter(|value| !offered.contains(value)).collect();
        if !missing.is_empty() {
            let text = format!("it announces no {} ({member}: {})", missing.join(", "), shown(&offered));
            let finding = match lack {
                Lack::Fails => Finding::failed(code, text),
                Lack::MayMatter => Finding::warning(code, text),
            };
            findings.push(finding.mend(mend));
        }
    }
    findings.extend(algorithms(settings, announced("id_token_signing_alg_values_supported").as_deref()));
    findings.push(request(metadata));
    if settings.protocol == Protocol::OpenIdConnect && metadata.end_session.is_none() {
        let text = "it announces no end_session_endpoint: signing out ends the session here only";
        let mend = "set end_session_endpoint by hand if the provider has one";
        findings.push(Finding::warning("sign_out_here_only", text).mend(mend));
    }
    findings.extend(sign_outs(settings, metadata, document));
    findings
}

/// How we hear of sign-outs there. What is set by hand says nothing of it.
fn sign_outs(settings: &Settings, metadata: &Metadata, document: &Map<String, Value>) -> Option<Finding> {
    if settings.protocol != Protocol::OpenIdConnect || document.is_empty() {
        return None;
    }
    let text = match metadata.tells {
        Tells::Us => return Some(Finding::ok("logout", "it tells of sign-outs there (back-channel logout)")),
        Tells::Browsers => "it tells of sign-outs there by its own pages alone (front-channel logout)",
        Tells::Unknown => "it does not say that it tells of sign-outs there (backchannel_logout_supported)",
    };
    let mend =
        "enter the back-channel or front-channel address of `vestibule urls` there if it has a place for one";
    Some(Finding::warning("sign_out_untold", text).mend(mend))
}

/// How we authenticate, by the choice that logins use.
pub(in crate::oidc) fn authentication(
    settings: &Settings,
    metadata: &Metadata,
    document: &Map<String, Value>,
) -> Finding {
    let chosen = metadata.client_auth.method();
    let method = chosen.name();
    let offered = document.get(METHODS).and_then(Value::as_array);
    let offered: Option<Vec<&str>> = offered.map(|list| list.iter().filter_map(Value::as_str).collect());
    match offered {
        Some(offered) if !is_offered(chosen, &offered) => Finding::failed(
            "client_auth_unsupported",
            format!("it takes no {method} ({METHODS}: {})", shown(&offered)),
        )
        .mend("set client_auth to one of those, with what it needs"),
        _ => {
            let why = match settings.client_auth {
                Some(_) => "as client_auth says",
                None => "the best that both sides can do",
            };
            Finding::ok("client_auth", format!("we authenticate by {method}, {why}"))
        }
    }
}

fn wanted(settings: &Settings) -> Vec<Wanted<'_>> {
    let is_openid = settings.protocol == Protocol::OpenIdConnect;
    let scopes = settings.scopes.iter().map(String::as_str).collect();
    let refresh = settings.scopes.iter().any(|scope| scope == "offline_access" && is_openid);
    let wanted = |member, code, values, lack, mend| Wanted { member, code, values, lack, mend };
    vec![
        wanted(
            "response_types_supported",
            "response_type_unsupported",
            vec!["code"],
            Lack::Fails,
            "switch the authorization code flow on at the provider",
        ),
        wanted(
            "grant_types_supported",
            "grant_unsupported",
            vec!["authorization_code"],
            Lack::Fails,
            "switch the authorization code flow on at the provider",
        ),
        wanted(
            "grant_types_supported",
            "refresh_unsupported",
            if refresh { vec!["refresh_token"] } else { Vec::new() },
            Lack::MayMatter,
            "switch refresh tokens on at the provider, or take offline_access out of scopes",
        ),
        wanted(
            "code_challenge_methods_supported",
            "pkce_unsupported",
            vec!["S256"],
            Lack::MayMatter,
            "switch PKCE with S256 on at the provider",
        ),
        wanted(
            "scopes_supported",
            "scope_unsupported",
            scopes,
            Lack::MayMatter,
            "take it out of scopes, or have the provider offer it",
        ),
        wanted(
            "response_modes_supported",
            "response_mode_unsupported",
            // The default is announced by few.
            if settings.response_mode == ResponseMode::Query {
                Vec::new()
            } else {
                vec![settings.response_mode.name()]
            },
            Lack::Fails,
            "set response_mode to one that it has",
        ),
        wanted(
            "acr_values_supported",
            "acr_unsupported",
            settings.acr_values.iter().flat_map(|text| text.split(' ')).collect(),
            Lack::MayMatter,
            "set acr_values to what the provider calls it",
        ),
        wanted(
            "prompt_values_supported",
            "prompt_unsupported",
            settings.prompt.iter().flat_map(|text| text.split(' ')).collect(),
            Lack::MayMatter,
            "take prompt out, or set one that it has",
        ),
    ]
}

fn algorithms(settings: &Settings, announced: Option<&[&str]>) -> Option<Finding> {
    let (chosen, announced) = (settings.id_token_algs.as_ref()?, announced?);
    let common =
        announced.iter().filter_map(|name| Algorithm::from_name(name)).any(|alg| chosen.contains(&alg));
    (!common).then(|| {
        let names: Vec<&str> = chosen.iter().map(|alg| alg.name()).collect();
        let text = format!(
            "it signs ID tokens with none of {} (id_token_signing_alg_values_supported: {})",
            names.join(", "),
            shown(announced)
        );
        Finding::failed("algorithm_unsupported", text)
            .mend("add one that it has to id_token_algs, or take that out")
    })
}

/// How a login's request travels, by the choice that logins make.
fn request(metadata: &Metadata) -> Finding {
    let how = match &metadata.carriage {
        Carriage::Query => "in the browser's address",
        Carriage::Object(_) => "in the browser's address, signed",
        Carriage::Reference(_) => "as a signed object that the provider fetches from us",
        Carriage::Pushed { object: None, .. } => "beforehand (PAR)",
        Carriage::Pushed { object: Some(_), .. } => "beforehand, signed (PAR)",
    };
    Finding::ok("request", format!("its requests travel {how}"))
}

fn remark(remark: &Remark) -> Option<Finding> {
    Some(match remark {
        // `authentication` tells it.
        Remark::NotAnnounced { member: METHODS, .. } => return None,
        Remark::NotAnnounced { member, chosen } => {
            let text = format!("it does not announce {chosen} ({member})");
            Finding::warning("not_announced", text).mend("set another value, or switch it on at the provider")
        }
        Remark::OtherHost { endpoint, host } => {
            let text = format!("its {endpoint} is on another host than the issuer, {host}");
            let mend = "if that host is not the provider's own, correct issuer or the provider's settings";
            Finding::warning("endpoint_other_host", text).mend(mend)
        }
        Remark::LeftOut { endpoint, problem } => {
            Finding::warning("endpoint_left_out", format!("its {endpoint} {problem}, and is not used"))
                .mend(format!("set {endpoint} by hand, or have the provider correct it"))
        }
    })
}

fn shown(values: &[&str]) -> String {
    crate::oidc::message::told(&values.join(", "))
}
