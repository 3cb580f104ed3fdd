//! The log: what `tracing` events look like and which are written.
//!
//! Only Vestibule's own events are written below `warn`; libraries speak up when something is wrong. Audit
//! events (target `audit`) are written at any level.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::output::Lines;
use super::text::TextFields;
use super::{LogFormat, Settings};

/// The target of audit events: sign-in, sign-out, refusal.
pub const AUDIT: &str = "audit";

/// Starts logging for the whole process; a second call changes nothing.
pub fn init(settings: &Settings) {
    let level = settings.level;
    let wanted = filter_fn(move |event| event.target() == AUDIT || is_wanted(event, level));
    let layer = tracing_subscriber::fmt::layer().with_writer(Lines).with_ansi(false);
    let started = match settings.format {
        LogFormat::Text => registry().with(layer.fmt_fields(TextFields).with_filter(wanted)).try_init(),
        LogFormat::Json => registry().with(layer.json().flatten_event(true).with_filter(wanted)).try_init(),
    };
    if started.is_err() {
        tracing::debug!("the log was started before; its settings stay");
    }
}

fn is_wanted(event: &Metadata<'_>, level: Level) -> bool {
    let ours = event.target().starts_with("vestibule");
    *event.level() <= if ours { level } else { level.min(Level::WARN) }
}
