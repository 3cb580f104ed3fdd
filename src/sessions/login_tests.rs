//! Logins from redirect to callback, in one browser and in others.

use super::*;
use crate::foundation::origin::Origin;
use crate::foundation::sealing::RootKey;
use crate::sessions::CookieSettings;
use http::header::COOKIE;
use proptest::prelude::*;
use url::Url;

struct World {
    clock: Clock,
    logins: Logins,
    names: CookieNames,
}

fn world() -> World {
    let clock = Clock::manual(Timestamp::from_secs(1_763_750_000));
    let keys = Arc::new(KeyRing::new(&RootKey::generate(), &[]));
    World { logins: Logins::new(keys, clock.clone()), clock, names: names("https://lms.example.org") }
}

fn names(origin: &str) -> CookieNames {
    let settings = CookieSettings { same_site: SameSite::Strict, ..CookieSettings::default() };
    CookieNames::for_origin(&Origin::of(&Url::parse(origin).unwrap()).unwrap(), &settings)
}

impl World {
    /// Begins a login in a browser that has `jar`, and puts what is set into it.
    fn begin(&self, jar: &mut Vec<String>, state: &str) {
        self.begin_for(jar, state, Return::ByLink, "; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=");
    }

    fn begin_for(&self, jar: &mut Vec<String>, state: &str, returns: Return, attributes: &str) {
        let login = ("/course", state);
        for value in self.logins.begin(&self.names, &sent(jar), state, &login, returns).unwrap() {
            let value = value.to_str().unwrap();
            assert!(value.contains(attributes), "{value}");
            let pair = value.split(';').next().unwrap();
            let name = pair.split('=').next().unwrap();
            jar.retain(|held| held.split('=').next() != Some(name));
            if !value.contains("Max-Age=0") {
                jar.push(pair.to_owned());
            }
        }
    }

    fn take(&self, jar: &[String], state: &str) -> Result<(String, String), LoginError> {
        self.logins.take(&self.names, &sent(jar), state)
    }
}

fn sent(jar: &[String]) -> HeaderMap {
    [(COOKIE, HeaderValue::from_str(&jar.join("; ")).unwrap())].into_iter().collect()
}

#[test]
fn a_login_comes_back_once_in_the_browser_that_began_it() {
    let (world, mut jar) = (world(), vec!["app=1".to_owned()]);
    world.begin(&mut jar, "state-1");
    world.begin(&mut jar, "state-2");
    assert_eq!(world.take(&[], "state-1"), Err(LoginError::Missing));
    assert_eq!(world.take(&jar, "state-3"), Err(LoginError::Missing));
    assert_eq!(world.take(&jar, "state-1"), Ok(("/course".into(), "state-1".into())));
    assert_eq!(world.take(&jar, "state-1"), Err(LoginError::Spent));
    let redated: Vec<_> = jar.iter().map(|pair| pair.replace("=1763750000.", "=1763750001.")).collect();
    assert_eq!(world.take(&redated, "state-1"), Err(LoginError::Spent));
    assert_eq!(world.take(&jar, "state-2"), Ok(("/course".into(), "state-2".into())));
    let deleted = world.logins.delete(&world.names, &sent(&jar), "state-1").unwrap();
    assert!(deleted.to_str().unwrap().contains("-login-"));
    assert!(world.logins.delete(&world.names, &sent(&[]), "state-1").is_none());
}

#[test]
fn a_login_expires_and_is_not_taken_twice_or_elsewhere() {
    let (mut world, mut jar) = (world(), Vec::new());
    world.begin(&mut jar, "state");
    let twice = [jar.clone(), jar.clone()].concat();
    assert_eq!(world.take(&twice, "state"), Err(LoginError::Duplicate));
    let renamed = vec![jar[0].replace(&id("state"), &id("other"))];
    assert_eq!(world.take(&renamed, "other"), Err(LoginError::Unreadable));
    let home = std::mem::replace(&mut world.names, names("https://talk.example.org"));
    assert_eq!(world.take(&jar, "state"), Err(LoginError::Unreadable));
    world.names = home;
    world.clock.advance(LASTS);
    assert_eq!(world.take(&jar, "state"), Err(LoginError::Expired));
}

#[test]
fn a_browser_holds_the_five_newest_logins() {
    let (world, mut jar) = (world(), vec!["__Host-vestibule-login-odd=x".to_owned()]);
    for state in ["1", "2", "3", "4", "5", "6", "7"] {
        world.begin(&mut jar, state);
        world.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(jar.len(), AT_A_TIME);
    for (state, there) in [("1", false), ("2", false), ("3", true), ("7", true)] {
        assert_eq!(world.take(&jar, state).is_ok(), there, "{state}");
    }
}

#[test]
fn a_login_that_comes_back_by_a_form_has_a_cookie_that_other_sites_forms_bring_where_browsers_take_it() {
    let attributes = "; HttpOnly; SameSite=None; Secure; Path=/; Max-Age=";
    let (mut world, mut jar) = (world(), Vec::new());
    for state in ["1", "2", "3", "4", "5", "6"] {
        world.begin_for(&mut jar, state, Return::ByForm, attributes);
        world.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(jar.len(), AT_A_TIME, "the oldest was deleted as it was set");
    assert!(world.take(&jar, "6").is_ok());
    let deleted = world.logins.delete(&world.names, &sent(&jar), "6").unwrap();
    assert!(deleted.to_str().unwrap().contains("SameSite=None; Secure"));
    let more: Vec<String> = jar.iter().map(|pair| pair.replacen("f.", ".", 1)).collect();
    let deleted = world.logins.delete(&world.names, &sent(&more), "6").unwrap();
    assert!(deleted.to_str().unwrap().contains("SameSite=Lax; Secure"));

    world.names = names("http://localhost:8080");
    world.begin_for(&mut Vec::new(), "1", Return::ByForm, "; HttpOnly; SameSite=Lax; Path=/; Max-Age=");
}

#[test]
fn what_does_not_fit_into_a_cookie_is_refused() {
    let world = world();
    let noise: String = (0..100).map(|_| crate::foundation::random::token()).collect();
    let refused = world.logins.begin(&world.names, &HeaderMap::new(), "state", &noise, Return::ByLink);
    assert_eq!(refused.unwrap_err(), LoginError::TooLarge);
}

#[test]
fn spent_logins_are_remembered_while_they_could_come_back_and_not_without_bound() {
    let mut spent = Spent::default();
    let at = Timestamp::from_secs;
    assert!(spent.add([1; 32], at(0)));
    assert!(!spent.add([1; 32], at(LASTS.as_secs() - 1)));
    assert!(spent.add([2; 32], at(LASTS.as_secs())));
    assert_eq!(spent.known.len(), 1);
    for number in 0..REMEMBERED + 10 {
        spent.add(fingerprint(&number.to_be_bytes()), at(LASTS.as_secs()));
    }
    assert_eq!((spent.known.len(), spent.in_order.len()), (REMEMBERED, REMEMBERED));
}

proptest! {
    #[test]
    fn a_login_cookie_with_any_sealed_byte_changed_is_refused(at: prop::sample::Index, to in "[!-:<-~]") {
        let (world, mut jar) = (world(), Vec::new());
        world.begin(&mut jar, "state");
        let sealed = jar[0].find('.').unwrap() + 1;
        let at = sealed + at.index(jar[0].len() - sealed);
        prop_assume!(jar[0][at..=at] != to);
        jar[0].replace_range(at..=at, &to);
        prop_assert_eq!(world.take(&jar, "state"), Err(LoginError::Unreadable));
    }
}
