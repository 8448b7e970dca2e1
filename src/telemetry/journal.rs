//! Log lines as entries of systemd's journal: a priority, the whole line as the message, and each field by itself as
//! `MEDIAKEEP_<NAME>`. It words nothing, and must never be where a line is lost: the caller falls back to text.

use std::fmt::{self, Write as _};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, Value, dispatcher};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::Said;
use super::queue::Queue;
use crate::domain::time::Now;
use crate::local::clock::Clock;

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
pub(super) struct Entries {
    pub(super) queue: Arc<Queue<Said>>,
    pub(super) clock: Arc<dyn Clock>,
}

impl<S: Subscriber> Layer<S> for Entries {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        self.queue.push(Said::Entry(Entry::of(event, self.clock.now())));
    }
}

/// An event that can go to another thread.
#[derive(Debug)]
pub(super) struct Entry {
    metadata: &'static Metadata<'static>,
    fields: Vec<(Field, String)>,
    said: Now,
}

impl Entry {
    /// The journal shows messages alone unless it is asked for more, and "uploaded" says little: the message is made
    /// the whole line.
    fn of(event: &Event<'_>, said: Now) -> Self {
        let mut line = Line::default();
        event.record(&mut line);
        let whole = line.whole();
        let mut entry = Self { metadata: event.metadata(), fields: line.fields, said };
        if let Some(message) = entry.message() {
            *message = whole;
        }
        entry
    }

    fn message(&mut self) -> Option<&mut String> {
        let fields = self.fields.iter_mut();
        fields.filter(|(field, _)| field.name() == MESSAGE).map(|(_, message)| message).next()
    }

    /// How much it holds, about.
    pub(super) fn bytes(&self) -> usize {
        self.fields.iter().map(|(_, value)| value.len() + size_of::<(Field, String)>()).sum()
    }

    /// Says it again, to this thread's subscriber. The journal puts down when it took an entry: one that waited says
    /// itself when it was said.
    pub(super) fn send(mut self, now: Now) {
        let is_late = now.steady.saturating_since(self.said.steady) > LATE;
        let said_at = is_late.then(|| self.said.wall.to_string());
        let span = said_at.as_ref().map(|said_at| {
            if let Some(message) = self.message() {
                let _ = write!(message, " said_at={said_at}");
            }
            tracing::error_span!("waited", said_at)
        });
        let _within = span.as_ref().map(tracing::Span::enter);
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
/// How long an entry may have waited before it says since when.
const LATE: Duration = Duration::from_secs(1);
/// How many fields an entry has at most; an event of ours has half as many.
const FIELDS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use tracing::Dispatch;
    use tracing::span::{Attributes, Id};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::registry::LookupSpan;

    use super::super::{queue::Due, writer};
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::local::clock::ManualClock;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// What becomes of an event on its way to the journal, as a subscriber there sees it.
    struct Sent(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Sent {
        fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
            let mut line = Line::default();
            attributes.record(&mut line);
            context.span(id).unwrap().extensions_mut().insert(line);
        }

        fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
            let mut line = Line::default();
            event.record(&mut line);
            if let Some(span) = context.event_span(event) {
                let extensions = span.extensions();
                line.fields.extend(extensions.get::<Line>().unwrap().fields.iter().cloned());
            }
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
        let clock = Arc::new(clock());
        let mut write = writer(direct, clock.clone(), "the journal");
        write(Due::Lost(3));
        let queue = Arc::new(Queue::start(write).unwrap());
        let subscriber = tracing_subscriber::registry().with(Entries { queue: queue.clone(), clock });
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "x", file = ?"a\nb.png", provider = %"plivo", reason = "new\n", bytes = 7, "uploaded");
            tracing::warn!(target: "y", left = Some("x"), absent = Option::<&str>::None, "{} ends", "it");
        });
        assert!(queue.flush(PATIENCE));
        let [lost, uploaded, ends] = &sent.lock().unwrap()[..] else { panic!("three events") };
        let message = "message=3 log lines were lost, because the journal did not take them";
        assert!(lost.starts_with("WARN mediakeep::telemetry ") && lost.contains(message), "{lost}");
        assert!(lost.contains("lost=3"), "{lost}");
        let message = r#"message=uploaded file="a\nb.png" provider=plivo reason="new\n" bytes=7"#;
        let fields = [message, r#"file="a\nb.png""#, "provider=plivo", "reason=new\n", "bytes=7"];
        assert_eq!(*uploaded, format!("INFO x {fields:?}"));
        assert_eq!(*ends, format!("WARN y {:?}", [r#"message=it ends left="x""#, "left=x"]));
    }

    fn clock() -> ManualClock {
        ManualClock::at(Now::at("2026-11-21T16:00:00Z".parse::<Timestamp>().unwrap()))
    }

    #[test]
    fn an_entry_that_waited_for_the_journal_says_when_it_was_said() {
        let sent = Arc::<Mutex<Vec<String>>>::default();
        let direct = Dispatch::new(tracing_subscriber::registry().with(Sent(sent.clone())));
        let clock = Arc::new(clock());
        let mut write = writer(direct, clock.clone(), "the journal");
        let (go, gate) = mpsc::channel();
        let held_up = move |due| {
            gate.recv_timeout(PATIENCE).expect("the journal takes something again");
            write(due);
        };
        let queue = Arc::new(Queue::start(held_up).unwrap());
        let subscriber =
            tracing_subscriber::registry().with(Entries { queue: queue.clone(), clock: clock.clone() });
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "x", file = "a.png", "renewed");
            clock.advance(Duration::from_secs(60));
            tracing::info!(target: "x", "soon");
            clock.advance(Duration::from_secs(1));
            // Setting the wall clock makes nothing late.
            clock.set_wall("2027-01-01T00:00:00Z".parse().unwrap());
        });
        for _ in 0..2 {
            go.send(()).unwrap();
        }
        assert!(queue.flush(PATIENCE));
        let at = "said_at=2026-11-21T16:00:00Z";
        let [renewed, soon] = &sent.lock().unwrap()[..] else { panic!("two events") };
        let fields = [&format!(r#"message=renewed file="a.png" {at}"#), "file=a.png", at];
        assert_eq!(*renewed, format!("INFO x {fields:?}"));
        assert_eq!(*soon, format!("INFO x {:?}", ["message=soon"]));
    }
}
