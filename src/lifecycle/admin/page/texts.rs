//! Every word on the operators' page, in both languages: a language that lacks one does not compile.

use std::time::Duration;

use crate::gateway::pages::Language;
use crate::telemetry::history::Totals;

/// The words of one language.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) sign_in: &'static str,
    pub(super) token: &'static str,
    pub(super) token_hint: &'static str,
    pub(super) wrong_token: &'static str,
    pub(super) foreign_form: &'static str,
    pub(super) no_token: &'static str,
    pub(super) set_token: &'static str,
    pub(super) sign_out: &'static str,
    pub(super) health: &'static str,
    pub(super) store: &'static str,
    pub(super) provider: &'static str,
    pub(super) app: &'static str,
    pub(super) works: &'static str,
    pub(super) stale: &'static str,
    pub(super) does_not_work: &'static str,
    pub(super) sessions_kept: &'static str,
    pub(super) requests: &'static str,
    pub(super) failures: &'static str,
    pub(super) last_hour: &'static str,
    pub(super) signed_in: &'static str,
    pub(super) not_signed_in: &'static str,
    pub(super) denied: &'static str,
    pub(super) hour_ago: &'static str,
    pub(super) most: &'static str,
    pub(super) now: &'static str,
    pub(super) sessions: &'static str,
    pub(super) search: &'static str,
    pub(super) search_hint: &'static str,
    pub(super) show_all: &'static str,
    pub(super) person: &'static str,
    pub(super) where_from: &'static str,
    pub(super) since: &'static str,
    pub(super) last_seen: &'static str,
    pub(super) unknown: &'static str,
    pub(super) end: &'static str,
    pub(super) end_all: &'static str,
    pub(super) ended: &'static str,
    pub(super) nobody: &'static str,
    pub(super) none_so_far: &'static str,
    pub(super) next: &'static str,
    pub(super) first: &'static str,
    pub(super) ago: &'static str,
    pub(super) units: [&'static str; 4],
}

/// The words of this language.
pub(super) const fn words(language: Language) -> &'static Words {
    match language {
        Language::English => &ENGLISH,
        Language::Russian => &RUSSIAN,
    }
}

const ENGLISH: Words = Words {
    title: "Sessions and health",
    sign_in: "Sign in",
    token: "Token for operators",
    token_hint: "It stands in the configuration as admin.token.",
    wrong_token: "That is not the token of this gateway.",
    foreign_form: "The form did not come from this page. Please try again.",
    no_token: "This page is switched off",
    set_token: "Set admin.token in the configuration and restart the gateway to see and end sessions here.",
    sign_out: "Sign out",
    health: "Health",
    store: "session store",
    provider: "provider",
    app: "app",
    works: "works",
    stale: "works, but can’t be asked anew",
    does_not_work: "does not work",
    sessions_kept: "Sessions",
    requests: "Requests in the last hour",
    failures: "5xx",
    last_hour: "The last hour",
    signed_in: "Signed in",
    not_signed_in: "Sign-in failed",
    denied: "No access",
    hour_ago: "an hour ago",
    most: "at most in a minute",
    now: "now",
    sessions: "Live sessions",
    search: "Search",
    search_hint: "Name, e-mail or subject",
    show_all: "Show all",
    person: "Person",
    where_from: "Signed in to, from",
    since: "Signed in",
    last_seen: "Last seen",
    unknown: "unknown",
    end: "End",
    end_all: "End all sessions of this person",
    ended: "Sessions ended",
    nobody: "No sessions.",
    none_so_far: "None found so far. There is more to look through.",
    next: "Further",
    first: "Back to the beginning",
    ago: "ago",
    units: ["s", "min", "h", "d"],
};

const RUSSIAN: Words = Words {
    title: "Сеансы и состояние",
    sign_in: "Войти",
    token: "Ключ оператора",
    token_hint: "Он указан в конфигурации: admin.token.",
    wrong_token: "У этого шлюза другой ключ.",
    foreign_form: "Форма пришла не с этой страницы. Попробуйте ещё раз.",
    no_token: "Эта страница выключена",
    set_token: "Чтобы видеть и завершать сеансы, задайте в конфигурации admin.token и перезапустите шлюз.",
    sign_out: "Выйти",
    health: "Состояние",
    store: "хранилище сеансов",
    provider: "служба входа",
    app: "приложение",
    works: "работает",
    stale: "работает, но не отвечает на новые запросы",
    does_not_work: "не работает",
    sessions_kept: "Сеансов",
    requests: "Запросов за час",
    failures: "5xx",
    last_hour: "Последний час",
    signed_in: "Вошли",
    not_signed_in: "Не удалось войти",
    denied: "Нет доступа",
    hour_ago: "час назад",
    most: "больше всего за минуту",
    now: "сейчас",
    sessions: "Открытые сеансы",
    search: "Найти",
    search_hint: "Имя, почта или идентификатор",
    show_all: "Показать все",
    person: "Кто",
    where_from: "Куда и откуда",
    since: "Вход",
    last_seen: "Активность",
    unknown: "неизвестно",
    end: "Завершить",
    end_all: "Завершить все сеансы этого человека",
    ended: "Завершено сеансов",
    nobody: "Сеансов нет.",
    none_so_far: "Пока ничего не найдено, просмотрено не всё.",
    next: "Дальше",
    first: "В начало",
    ago: "назад",
    units: ["с", "мин", "ч", "д"],
};

impl Words {
    /// What happened so many minutes ago.
    pub(super) fn minute(&self, ago: usize, happened: &Totals) -> String {
        let when = if ago == 0 {
            self.now.to_owned()
        } else {
            let [_, minute, ..] = self.units;
            format!("{ago} {minute} {}", self.ago)
        };
        let counts = [
            (self.signed_in, happened.signed_in),
            (self.not_signed_in, happened.not_signed_in),
            (self.denied, happened.denied),
        ];
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts.map(|(what, count)| format!("{what}: {count}")).collect();
        format!("{when}. {}", counts.join(", "))
    }

    /// How long something lasts, in its two largest units.
    pub(super) fn lasting(&self, span: Duration) -> String {
        let [second, minute, hour, day] = self.units;
        let seconds = span.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
        match (days, hours, minutes) {
            (0, 0, 0) => format!("{seconds} {second}"),
            (0, 0, _) => format!("{minutes} {minute}"),
            (0, ..) => format!("{hours} {hour} {} {minute}", minutes % 60),
            _ => format!("{days} {day} {} {hour}", hours % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_told_by_what_happened_in_it() {
        let happened = Totals { signed_in: 5, denied: 3, ..Totals::default() };
        assert_eq!(ENGLISH.minute(7, &happened), "7 min ago. Signed in: 5, No access: 3");
        assert_eq!(RUSSIAN.minute(0, &happened), "сейчас. Вошли: 5, Нет доступа: 3");
    }

    #[test]
    fn a_length_of_time_is_told_in_its_two_largest_units() {
        for (seconds, english, russian) in [
            (0, "0 s", "0 с"),
            (59, "59 s", "59 с"),
            (60, "1 min", "1 мин"),
            (3_599, "59 min", "59 мин"),
            (11_520, "3 h 12 min", "3 ч 12 мин"),
            (180_000, "2 d 2 h", "2 д 2 ч"),
        ] {
            let span = Duration::from_secs(seconds);
            assert_eq!(
                (ENGLISH.lasting(span), RUSSIAN.lasting(span)),
                (english.to_owned(), russian.to_owned())
            );
        }
    }
}
