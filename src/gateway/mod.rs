//! Floor 4: the path of one request.
//!
//! [`Worker::serve`] is the path: its steps in order, each using what earlier ones made. A step can end the path
//! with a [`Failure`], which one place turns into an answer; the last step runs on every path.
//!
//! | step | gives | can end with |
//! | --- | --- | --- |
//! | [`request`] | the facts: path, host, method | 400 |
//! | [`routing`] | an endpoint of ours, or an app and the rule that fits | 400, 404, 421 |
//! | [`authentication`] | a person, or nobody | 503 |
//! | [`authorization`] | an `Admission`, or why not | 401, 403, a redirect to the provider |
//! | [`forwarding`], [`forward_auth`], [`endpoints`] | the app's answer, a verdict, or our own page | 502, 504 |
//! | [`response`] | log line and metrics | nothing |

pub mod answer;
pub mod apps;
pub mod authentication;
pub mod authorization;
pub mod bearer;
pub mod choice;
pub mod cross_origin;
pub mod endpoints;
pub mod explanation;
pub mod failure;
pub mod form;
pub mod forward_auth;
pub mod forwarding;
pub mod kept_forms;
pub mod login;
pub mod negotiation;
pub mod opened;
pub mod outliving;
pub mod own_session;
pub mod pages;
pub mod profile;
pub mod query;
pub mod renewal;
pub mod request;
pub mod response;
pub mod return_to;
pub mod rounds;
pub mod routing;
mod settings;
pub mod statement;
pub mod step_up;
pub mod ticket;
pub mod trail;
pub mod unwanted;
pub mod visitor;
pub mod waiting;

use std::rc::Rc;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::runtime::Handle;

pub use self::settings::{App, Branding, DeviceSignIn, IdentityJwt, Settings, StripPrefix};

use self::apps::Protected;
use self::authentication::Person;
use self::authorization::{Decision as Permission, decide};
use self::bearer::{Bearers, TokenProblem};
use self::endpoints::sign_out;
use self::failure::{Audience, Failure};
use self::forwarding::Onward;
use self::kept_forms::{Room, Sent};
use self::login::Wish;
use self::negotiation::{Intent, Unsigned};
use self::opened::Opened;
use self::own_session::cookies::Newcomer;
use self::own_session::leaving;
use self::own_session::telling::Ends;
use self::own_session::unfinished::Leaver;
use self::pages::{Pages, Unsent, frame};
use self::profile::Profile;
use self::request::{Facts, Survey, Wishes};
use self::routing::{Route, Routes};
use self::trail::Trail;
use self::visitor::Visitor;
use self::waiting::Waiting;
use crate::foundation::body::Body;
use crate::foundation::clock::Clock;
use crate::foundation::peer::TrustedProxies;
use crate::foundation::random;
use crate::identity::access::{Access, Fit};
use crate::identity::statement::StatementKeys;
use crate::oidc::Provider;
use crate::sessions::Sessions;
use crate::telemetry::access::{Book, Record};
use crate::telemetry::log::AUDIT;
use crate::telemetry::metrics::{Decision, Metrics};
use crate::telemetry::{LogFormat, SubjectInLogs};
use crate::upstream::Upstream;

/// What all workers share: made at start, never changed.
pub struct Gateway {
    /// The apps, prepared.
    pub apps: Vec<Protected>,
    /// The apps by host and path.
    pub routes: Routes,
    /// The sessions.
    pub sessions: Arc<Sessions>,
    /// The keys of signed identity statements.
    pub statements: StatementKeys,
    /// Our own pages.
    pub pages: Pages,
    /// The peers whose forwarding headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// How access lines are written; `None`: not at all.
    pub access_log: Option<LogFormat>,
    /// Whether they name the subject.
    pub subject_in_logs: SubjectInLogs,
    /// Ends of sessions that apps are to be told of.
    pub ends: Ends,
    /// The screens that wait for a phone.
    pub waiting: Waiting,
    /// How much is kept of forms whose senders must sign in first.
    pub forms: Room,
    /// How large such a form may be, in bytes; 0: none is kept.
    pub form_limit: usize,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
    /// Where slow work is done.
    pub control: Handle,
}

/// One worker's share: its connections to the apps and the sessions that it opened.
pub struct Worker {
    /// What all workers share.
    pub gateway: Arc<Gateway>,
    upstreams: Vec<Rc<Upstream>>,
    opened: Rc<Opened>,
    bearers: Bearers,
    book: Rc<Book>,
}

impl Worker {
    /// A worker that has its own connections to the apps, in their order.
    pub fn new(gateway: Arc<Gateway>, upstreams: Vec<Rc<Upstream>>) -> Self {
        let opened = Opened::new(gateway.apps.len(), gateway.clock.clone());
        let apps = gateway.apps.iter().map(|app| (&*app.labels, &app.metrics));
        let book = Book::new(gateway.access_log, apps, gateway.metrics.strangers());
        let bearers = Bearers::new(gateway.apps.len());
        Self { gateway, upstreams, opened, bearers, book }
    }

    /// The path of one request.
    pub async fn serve(
        self: &Rc<Self>,
        request: Box<Request<Incoming>>,
        visitor: &Visitor,
    ) -> Response<Body> {
        let mut trail = Trail {
            record: self.record(&request, visitor),
            cookies: Vec::new(),
            retry: None,
            provider: None,
        };
        let mut wishes = Wishes::default();
        let answer = self.walk(request, visitor, &mut wishes, &mut trail).await;
        let answer = answer.unwrap_or_else(|failure| self.fail(&failure, wishes, &mut trail));
        response::finish(answer, trail)
    }

    async fn walk(
        self: &Rc<Self>,
        mut request: Box<Request<Incoming>>,
        visitor: &Visitor,
        wishes: &mut Wishes,
        trail: &mut Trail,
    ) -> Result<Response<Body>, Failure> {
        let gateway = &*self.gateway;
        let survey = Survey::of(request.headers(), wishes);
        let facts = Facts::of(request.method(), request.uri(), request.headers())?;
        let app = visitor.app(gateway, survey.only_host(request.version())?, &facts.path)?;
        trail.record.app = Some(app.number);
        let route = routing::route(app, &facts)?;
        if let Some(answer) = cross_origin::preflight(app, route, &facts) {
            trail.record.decision = Decision::Endpoint;
            return Ok(answer);
        }
        let fit = match route {
            Route::Own(endpoint) => {
                trail.record.decision = Decision::Endpoint;
                // Boxed, as all that is rare, to keep the usual path's future small: it is moved once.
                return Box::pin(endpoints::answer(self, app, endpoint, *request, visitor, trail)).await;
            }
            Route::Leave(fit) if let Some(way) = leaving::way(app, fit, facts.method, facts.headers) => {
                trail.record.rule = Some(app.label_of(fit));
                let marks = survey.marks;
                let answer = leaving::answer(self, app, fit, way, request, visitor, marks, trail);
                return Box::pin(answer).await;
            }
            Route::App(fit) | Route::Leave(fit) => fit,
        };
        trail.record.rule = Some(app.label_of(fit));
        let (person, token);
        let profile = if app.settings.rules.access(fit) == Access::Bearer {
            person = None;
            token = Box::pin(bearer::holder(self, app, facts.headers, fit)).await?;
            Some(&token)
        } else {
            let (headers, cookies) = (facts.headers, &mut trail.cookies);
            person = authentication::visitors_person(self, app, visitor, &survey, headers, cookies).await?;
            person.as_ref().map(|person| &person.profile)
        };
        trail.record.subject = profile.and_then(|profile| self.subject(profile));
        match decide(&app.settings.rules, fit, profile, || gateway.clock.now()) {
            Permission::Admit(admission) => {
                let signed_in = admission.profile().is_some();
                trail.record.decision = if signed_in { Decision::Admitted } else { Decision::Public };
                let marks = survey.marks;
                let (instead, spare) = if kept_forms::may_be_marker(&request) {
                    let taken = kept_forms::take(self, app, &mut request, person.as_ref(), trail);
                    Box::pin(taken).await.map(|(instead, spare)| (Some(instead), spare))?
                } else {
                    (None, None)
                };
                let newcomer = Newcomer::of(gateway, app, person.as_ref(), request.headers());
                if let Some(newcomer) = &newcomer {
                    newcomer.hide(app, request.headers_mut());
                }
                let onward = Onward { request, instead, marks };
                let answer = forwarding::forward(self, app, visitor, admission, person, onward).await;
                if let (Err(Failure::Upstream(error)), Some(spare)) = (&answer, spare)
                    && error.is_unsent()
                {
                    Box::pin(spare.keep(self, app, trail)).await;
                }
                let answer = answer?;
                if let Some(newcomer) = newcomer {
                    trail.cookies.extend(newcomer.set(answer.headers()));
                }
                if !trail.cookies.is_empty() && response::is_for_everybody(answer.headers()) {
                    // SECURITY: a shared cache would hand this person's cookie to others.
                    trail.cookies.clear();
                }
                Ok(answer)
            }
            Permission::SignIn => {
                trail.record.decision = Decision::SignIn;
                Box::pin(self.sign_in(app, *request, trail)).await
            }
            Permission::Token => Err(Failure::Token(TokenProblem::None)),
            Permission::Deny(_) if person.is_none() => Err(Failure::Token(TokenProblem::Denied)),
            Permission::StepUp(_) => {
                trail.record.decision = Decision::SignIn;
                Box::pin(self.step_up(app, *request, fit, person.as_ref(), trail)).await
            }
            Permission::Deny(denial) => {
                let person = person.as_ref().and_then(Person::display_name);
                Err(Failure::Denied { denial, person })
            }
        }
    }

    /// What a request gets that needs a session and has none.
    async fn sign_in(
        &self,
        app: &Protected,
        request: Request<Incoming>,
        trail: &mut Trail,
    ) -> Result<Response<Body>, Failure> {
        let (parts, body) = request.into_parts();
        let facts = Facts::of(&parts.method, &parts.uri, &parts.headers)?;
        match Unsigned::of(facts.method, facts.intent()) {
            Unsigned::SignIn if Leaver::unfinished(self, app, facts.headers).is_some() => {
                trail.cookies.extend(app.cookies.finish(facts.headers));
                sign_out::leave(self, app, None, None, facts.method, facts.headers)
            }
            Unsigned::SignIn => {
                login::start(self, app, &facts, Wish::to(app, facts.target().into_owned()), trail).await
            }
            Unsigned::Refuse => {
                unwanted::read_off(body, facts.headers);
                Err(Failure::SignInNeeded)
            }
            Unsigned::Keep => {
                trail.retry = Some(login::from_page(app, facts.headers));
                let whose = authentication::whose(self, app, facts.headers);
                kept_forms::keep(self, app, Sent { facts, body, whose, unsent: Unsent::NoSession }, trail)
                    .await
            }
        }
    }

    /// What a request gets whose sender must sign in again.
    async fn step_up(
        &self,
        app: &Protected,
        request: Request<Incoming>,
        fit: Fit,
        person: Option<&Person>,
        trail: &mut Trail,
    ) -> Result<Response<Body>, Failure> {
        let (parts, body) = request.into_parts();
        let facts = Facts::of(&parts.method, &parts.uri, &parts.headers)?;
        match Unsigned::of(facts.method, facts.intent()) {
            Unsigned::SignIn => step_up::begin(self, app, &facts, fit, person, trail).await,
            Unsigned::Refuse => {
                unwanted::read_off(body, facts.headers);
                Err(step_up::needed(app, &facts, person))
            }
            Unsigned::Keep => {
                trail.retry = Some(step_up::address(app, &facts, person));
                let whose = person.and_then(|person| self.gateway.sessions.whose_is(&person.live));
                kept_forms::keep(self, app, Sent { facts, body, whose, unsent: Unsent::WeakSession }, trail)
                    .await
            }
        }
    }

    fn fail(&self, failure: &Failure, wishes: Wishes, trail: &mut Trail) -> Response<Body> {
        let record = &mut trail.record;
        let reference = random::reference();
        record.decision = failure.decision();
        let app = record.app.and_then(|number| self.gateway.apps.get(number));
        tell(failure, record, app, trail.provider.as_ref(), &reference);
        let headers = wishes.into_headers();
        let intent = Intent::of(&record.method, &headers);
        let target = record.target.as_ref().map(PathAndQuery::as_str);
        let mut answer = failure.answer(
            &self.gateway.pages,
            &reference,
            Audience { app, headers: &headers, intent, target, retry: trail.retry.as_deref() },
        );
        if let Some(app) = app {
            app.cross_origin.allow(&headers, answer.headers_mut());
            if failure.may_be_framed() {
                answer = frame::allow(answer, &app.embedders);
            }
        }
        // Its answer is for a script and shows none.
        let shows_none =
            matches!(failure, Failure::SignInNeeded | Failure::StepUpNeeded { .. } | Failure::InFrame { .. });
        record.reference = Some(reference).filter(|_| !shows_none);
        answer
    }

    fn record(&self, request: &Request<Incoming>, visitor: &Visitor) -> Box<Record> {
        let client = visitor.client(request.headers(), &self.gateway.trusted_proxies);
        let target = request.uri().path_and_query().cloned();
        Box::new(Record::begin(&self.book, client, request.method().clone(), target))
    }

    /// The subject, if the operator wants it in logs.
    fn subject(&self, profile: &Profile) -> Option<Arc<str>> {
        match self.gateway.subject_in_logs {
            SubjectInLogs::Named => Some(Arc::clone(&profile.subject)),
            SubjectInLogs::Omitted => None,
        }
    }

    fn upstream(&self, app: &Protected) -> Result<&Rc<Upstream>, Failure> {
        self.upstreams.get(app.number).ok_or(Failure::Internal("an app has no upstream"))
    }
}

/// What the log says of a failure. What a stranger or a provider wrote stands in fields, never in a message.
fn tell(
    failure: &Failure,
    record: &Record,
    app: Option<&Protected>,
    provider: Option<&Arc<Provider>>,
    reference: &str,
) {
    if matches!(failure, Failure::SignInNeeded | Failure::StepUpNeeded { .. } | Failure::InFrame { .. }) {
        return;
    }
    let (code, status) = (failure.code(), failure.status().as_u16());
    let error = failure.to_string();
    let (client, method) = (record.client, record.method.as_str());
    let name = app.map_or("", |app| app.settings.name.as_str());
    let provider = app.map_or("", |app| app.provider_name(provider));
    match failure {
        Failure::Login(_) | Failure::Loop(_) | Failure::SignIn(_) | Failure::SessionTooLarge(_) => {
            let mend = match failure {
                Failure::SignIn(error) => error.mend(),
                Failure::Loop(cause) => Some(cause.mend()),
                Failure::Login(cause) => explanation::mend_of_login(*cause),
                Failure::SessionTooLarge(_) => {
                    Some("ask the provider for less (scopes), or use another session.store")
                }
                _ => None,
            };
            tracing::warn!(target: AUDIT, event = "sign_in_failed", code, error, mend, reference, %client, app = name, provider, status, "sign-in failed");
        }
        Failure::TooWeak(weak) => {
            let mend = weak.mend();
            tracing::warn!(target: AUDIT, event = "sign_in_too_weak", code, error, mend, reference, %client, app = name, provider, status, "signed in, but not as a rule asks for");
        }
        Failure::Denied { .. } | Failure::ForeignOrigin | Failure::Reserved | Failure::AmbiguousPath(_) => {
            let path = record.target.as_ref().map_or("", PathAndQuery::path);
            let labels = app.map(|app| &app.labels.rules);
            let rule = record.rule.and_then(|rule| labels?.get(rule)).map(String::as_str);
            let subject = record.subject.as_deref();
            tracing::warn!(target: AUDIT, event = "refused", code, error, reference, %client, method, path, rule, app = name, provider, subject, status, "refused");
        }
        Failure::Token(TokenProblem::None) => {}
        // That the store can't be used is told once, not for each request; the access line has the reference.
        Failure::Store(_) => {
            tracing::debug!(code, error, reference, app = name, status, "a request failed");
        }
        Failure::Token(_) => {
            let path = record.target.as_ref().map_or("", PathAndQuery::path);
            tracing::warn!(target: AUDIT, event = "refused", code, error, reference, %client, method, path, app = name, status, "an access token is refused");
        }
        _ if status >= 500 => {
            let cause = if let Failure::Upstream(error) = failure { Some(error.code()) } else { None };
            tracing::error!(code, cause, error, reference, app = name, status, "a request failed");
        }
        _ => tracing::info!(code, error, reference, app = name, status, "a request is refused"),
    }
}
