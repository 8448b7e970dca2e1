//! Log lines as entries of systemd's journal: a priority, the whole line as the message, and each field by itself as
//! `MEDIAKEEP_<NAME>`. It words nothing, and must never be where a line is lost: the caller falls back to text.

use std::fmt::{self, Write as _};
use std::io;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, Value, dispatcher};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::Said;
use super::queue::Queue;

/// Whether standard error goes to the journal, as it does in a service whose unit does not say otherwise.
#[must_use]
pub(super) fn has_standard_error() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else { return false };
    // The variable is handed down to processes whose output goes elsewhere: only the file itself tells.
    let about = rustix::fs::fstat(io::stderr());
    about.is_ok_and(|about| stream.to_str() == Some(&format!("{}:{}", about.st_dev, about.st_ino)))
}

/// Sends events to the journal, and waits for it: not for a thread that has something else to do.
///
/// # Errors
/// If no journal listens.
pub(super) fn connect() -> io::Result<tracing_journald::Layer> {
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
    Ok(layer)
}

/// Puts events into a queue, as entries. Spans are not followed: nothing here opens one.
pub(super) struct Entries(pub(super) Arc<Queue<Said>>);

impl<S: Subscriber> Layer<S> for Entries {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        self.0.push(Said::Entry(Entry::of(event)));
    }
}

/// An event that can go to another thread.
#[derive(Debug)]
pub(super) struct Entry {
    metadata: &'static Metadata<'static>,
    fields: Vec<(Field, String)>,
}

impl Entry {
    /// The journal shows messages alone unless it is asked for more, and "uploaded" says little: the message is made
    /// the whole line.
    fn of(event: &Event<'_>) -> Self {
        let mut line = Line::default();
        event.record(&mut line);
        let whole = line.whole();
        let mut fields = line.fields;
        if let Some((_, message)) = fields.iter_mut().find(|(field, _)| field.name() == MESSAGE) {
            *message = whole;
        }
        Self { metadata: event.metadata(), fields }
    }

    /// How much it holds, about.
    pub(super) fn bytes(&self) -> usize {
        self.fields.iter().map(|(_, value)| value.len() + size_of::<(Field, String)>()).sum()
    }

    /// Says it again, to this thread's subscriber.
    pub(super) fn send(&self) {
        let Some((last, _)) = self.fields.last() else { return };
        let nothing: (&Field, Option<&dyn Value>) = (last, None);
        let mut values = [nothing; FIELDS_MAX];
        for (place, (field, value)) in values.iter_mut().zip(&self.fields) {
            *place = (field, Some(value));
        }
        let values = self.metadata.fields().value_set(&values);
        dispatcher::get_default(|direct| direct.event(&Event::new(self.metadata, &values)));
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
    use std::sync::Mutex;
    use std::time::Duration;

    use tracing::Dispatch;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::{queue::Due, writer};
    use super::*;

    /// What becomes of an event on its way to the journal, as a subscriber there sees it.
    struct Sent(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Sent {
        fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
            let mut line = Line::default();
            event.record(&mut line);
            let fields = line.fields.iter().map(|(field, value)| format!("{field}={value}"));
            let metadata = event.metadata();
            let said = format!("{} {} {:?}", metadata.level(), metadata.target(), fields.collect::<Vec<_>>());
            self.0.lock().unwrap().push(said);
        }
    }

    #[test]
    fn a_message_says_everything_in_one_line_and_each_field_goes_by_itself_too() {
        let sent = Arc::<Mutex<Vec<String>>>::default();
        let direct = Dispatch::new(tracing_subscriber::registry().with(Sent(sent.clone())));
        let mut write = writer(direct, "the journal");
        write(Due::Lost(3));
        let queue = Arc::new(Queue::start(write).unwrap());
        let subscriber = tracing_subscriber::registry().with(Entries(queue.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "x", file = ?"a\nb.png", provider = %"plivo", reason = "new\n", bytes = 7, "uploaded");
            tracing::warn!(target: "y", left = Some("x"), absent = Option::<&str>::None, "{} ends", "it");
        });
        assert!(queue.flush(Duration::from_secs(20)));
        let [lost, uploaded, ends] = &sent.lock().unwrap()[..] else { panic!("three events") };
        let message = "message=3 log lines were lost, because the journal did not take them";
        assert!(lost.starts_with("WARN mediakeep::telemetry ") && lost.contains(message), "{lost}");
        assert!(lost.contains("lost=3"), "{lost}");
        let message = r#"message=uploaded file="a\nb.png" provider=plivo reason="new\n" bytes=7"#;
        let fields = [message, r#"file="a\nb.png""#, "provider=plivo", "reason=new\n", "bytes=7"];
        assert_eq!(*uploaded, format!("INFO x {fields:?}"));
        assert_eq!(*ends, format!("WARN y {:?}", [r#"message=it ends left="x""#, "left=x"]));
    }
}
