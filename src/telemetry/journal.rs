//! Log lines as entries of systemd's journal: a priority, the whole line as the message, and each field by itself as
//! `MEDIAKEEP_<NAME>`. It words nothing, and must never be where a line is lost: the caller falls back to text.

use std::fmt::{self, Write as _};
use std::io;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber, Value};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Whether standard error goes to the journal, as it does in a service whose unit does not say otherwise.
#[must_use]
pub(super) fn has_standard_error() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else { return false };
    // The variable is handed down to processes whose output goes elsewhere: only the file itself tells.
    let about = rustix::fs::fstat(io::stderr());
    about.is_ok_and(|about| stream.to_str() == Some(&format!("{}:{}", about.st_dev, about.st_ino)))
}

/// Sends events to the journal.
pub(super) struct Journal(tracing_journald::Layer);

impl Journal {
    /// # Errors
    /// If no journal listens.
    pub(super) fn connect() -> io::Result<Self> {
        let priorities = PriorityMappings {
            info: Priority::Informational,
            debug: Priority::Debug,
            trace: Priority::Debug,
            ..PriorityMappings::new()
        };
        let layer = tracing_journald::layer()?
            .with_field_prefix(Some("MEDIAKEEP".to_owned()))
            .with_syslog_identifier("mediakeep".to_owned())
            .with_priority_mappings(priorities);
        Ok(Self(layer))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Journal {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, context);
    }

    /// The journal shows messages alone unless it is asked for more, and "uploaded" says little: the message is made
    /// the whole line.
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let Some((last, _)) = line.fields.last() else { return };
        let nothing: (&Field, Option<&dyn Value>) = (last, None);
        let message = line.whole();
        let mut values = [nothing; FIELDS_MAX];
        for (place, (field, value)) in values.iter_mut().zip(&line.fields) {
            let value = if field.name() == MESSAGE { &message } else { value };
            *place = (field, Some(value));
        }
        let metadata = event.metadata();
        self.0.on_event(&Event::new(metadata, &metadata.fields().value_set(&values)), context);
    }
}

/// An event as text.
#[derive(Default)]
struct Line {
    message: String,
    /// What follows it.
    rest: String,
    fields: Vec<(Field, String)>,
}

impl Line {
    fn whole(&self) -> String {
        format!("{}{}", self.message, self.rest)
    }

    fn take(&mut self, field: &Field, value: String, shown: &dyn fmt::Debug) {
        if field.name() == MESSAGE {
            self.message.clone_from(&value);
        } else {
            let _ = write!(self.rest, " {}={shown:?}", field.name());
        }
        self.fields.push((field.clone(), value));
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned(), &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}"), value);
    }
}

/// The field that the text of an event is in.
const MESSAGE: &str = "message";
/// How many fields an entry has at most; an event of ours has half as many.
const FIELDS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Keeps the whole line of each event.
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Lines {
        fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
            let mut line = Line::default();
            event.record(&mut line);
            self.0.lock().unwrap().push(line.whole());
        }
    }

    #[test]
    fn a_message_says_everything_in_one_line() {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let subscriber = tracing_subscriber::registry().with(Lines(lines.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(file = ?"a\nb.png", provider = %"plivo", reason = "new\n", bytes = 7, "uploaded");
            tracing::warn!(left = Some("x"), absent = Option::<&str>::None, "{} ends", "it");
        });
        assert_eq!(
            *lines.lock().unwrap(),
            ["uploaded file=\"a\\nb.png\" provider=plivo reason=\"new\\n\" bytes=7", "it ends left=\"x\"",]
        );
    }
}
