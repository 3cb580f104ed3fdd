//! How the fields of an event are written for people: `message name=value name="a value in words"`.
//!
//! Whatever a value holds, it stays one value on one line. Messages are constants of ours.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// The fields of an event, for people.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextFields;

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut fields_of = Fields { writer, begun: false, result: Ok(()) };
        fields.record(&mut fields_of);
        fields_of.result
    }
}

struct Fields<'w> {
    writer: Writer<'w>,
    begun: bool,
    result: fmt::Result,
}

impl Fields<'_> {
    fn write(&mut self, field: &Field, value: &str, quotes: Quotes) {
        if self.result.is_ok() {
            self.result = self.try_write(field.name(), value, quotes);
        }
    }

    fn try_write(&mut self, name: &str, value: &str, quotes: Quotes) -> fmt::Result {
        if std::mem::replace(&mut self.begun, true) {
            self.writer.write_char(' ')?;
        }
        let is_message = name == "message";
        if !is_message {
            write!(self.writer, "{name}=")?;
        }
        // SECURITY: what a stranger or a provider wrote must not look like another field or another line.
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '=');
        let bare = match quotes {
            _ if is_message => !value.chars().any(is_control),
            Quotes::WhereNeeded => !value.is_empty() && value.chars().all(plain),
            Quotes::Always => false,
        };
        if bare {
            return self.writer.write_str(value);
        }
        self.writer.write_char('"')?;
        for c in value.chars() {
            match c {
                '"' | '\\' => write!(self.writer, "\\{c}")?,
                c if is_control(c) => write!(self.writer, "\\u{:04x}", u32::from(c))?,
                c => self.writer.write_char(c)?,
            }
        }
        self.writer.write_char('"')
    }
}

/// Whether a value stands in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotes {
    Always,
    WhereNeeded,
}

/// Control characters, and the line separators that some log readers break lines at.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, value, Quotes::Always);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write(field, &format!("{value:?}"), Quotes::WhereNeeded);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_stranger_wrote_stays_one_field_on_one_line() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .fmt_fields(TextFields)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let words = "no\" event=\"sign_in\"\n2026 INFO audit: x\u{2028}";
            tracing::warn!(target: "audit", event = "refused", error = words, reason = %words, code = 7, "refused");
            tracing::info!(address = %"[::]:443", empty = "", absent = None::<&str>, "listening");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        let quoted = r#""no\" event=\"sign_in\"\u000a2026 INFO audit: x\u2028""#;
        assert!(
            text.contains(&format!(
                "audit: refused event=\"refused\" error={quoted} reason={quoted} code=7\n"
            )),
            "{text}"
        );
        assert!(text.ends_with("listening address=[::]:443 empty=\"\"\n"), "{text}");
    }
}
