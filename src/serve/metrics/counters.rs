//! Counts what happens, from the events that people are told.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{
    AT_RISK, FAILURES, FOREIGN, JUMPS, LAPSES, Labels, RENEWALS, Samples, UPLOADS, VANISHED, VERIFICATIONS,
    float,
};
use crate::daemon::{Observer, ScanProgress};
use crate::domain::asset::ProviderName;
use crate::domain::event::Event;
use crate::domain::failure::FailureClass;

/// What has happened since the start.
#[derive(Debug, Default)]
pub(in crate::serve) struct Counters(Mutex<BTreeMap<(&'static str, Labels), u64>>);

/// Tells an observer everything, and counts it.
pub(in crate::serve) struct Counting {
    pub(in crate::serve) observer: Box<dyn Observer>,
    pub(in crate::serve) counters: std::sync::Arc<Counters>,
}

impl Observer for Counting {
    fn event(&mut self, event: &Event) {
        self.counters.count(event);
        self.observer.event(event);
    }

    fn warning(&mut self, text: &str) {
        self.observer.warning(text);
    }

    fn progress(&mut self, backlog: usize, scan: ScanProgress) {
        self.observer.progress(backlog, scan);
    }
}

impl Counters {
    pub(super) fn count(&self, event: &Event) {
        let of = |provider: &ProviderName| vec![("provider", provider.to_string())];
        let with = |provider: &ProviderName, name, value: &str| {
            vec![("provider", provider.to_string()), (name, value.to_owned())]
        };
        let (metric, labels) = match event {
            Event::Uploaded { key, .. } => (UPLOADS, of(&key.provider)),
            Event::Renewed { key, from_kept_copy, .. } => {
                (RENEWALS, with(&key.provider, "source", SOURCES[usize::from(*from_kept_copy)]))
            }
            Event::Failed { key, class, .. } => (FAILURES, with(&key.provider, "class", class.as_str())),
            Event::SourceLost { key, .. } => (FAILURES, with(&key.provider, "class", SOURCE_LOST)),
            Event::AtRisk { key, .. } => (AT_RISK, of(&key.provider)),
            Event::Lapsed { key } => (LAPSES, of(&key.provider)),
            Event::Vanished { key, .. } => (VANISHED, of(&key.provider)),
            Event::ForeignContent { key, .. } => (FOREIGN, of(&key.provider)),
            Event::Verified { provider, .. } => (VERIFICATIONS, with(provider, "result", "ok")),
            Event::VerificationFailed { provider, .. } => (VERIFICATIONS, with(provider, "result", "failed")),
            Event::ClockJumped { .. } => (JUMPS, Labels::new()),
            _ => return,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((metric, labels)).or_default() += 1;
    }

    /// Writes them down; with a zero for what has not happened yet at these accounts, so that the first time shows as a
    /// change.
    pub(super) fn add_to<'p>(
        &self,
        samples: &mut Samples,
        providers: impl Iterator<Item = &'p ProviderName>,
    ) {
        samples.set(JUMPS, Labels::new(), 0.0);
        for provider in providers {
            zero(samples, provider);
        }
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for ((metric, labels), count) in counts {
            samples.set(metric, labels, float(count));
        }
    }
}

fn zero(samples: &mut Samples, provider: &ProviderName) {
    let labels = || vec![("provider", provider.to_string())];
    for metric in [UPLOADS, AT_RISK, LAPSES, VANISHED, FOREIGN] {
        samples.set(metric, labels(), 0.0);
    }
    let mut each = |metric, name, values: &[&str]| {
        for value in values {
            samples.set(metric, [labels(), vec![(name, (*value).to_owned())]].concat(), 0.0);
        }
    };
    each(RENEWALS, "source", &SOURCES);
    each(VERIFICATIONS, "result", &["ok", "failed"]);
    each(FAILURES, "class", &FailureClass::ALL.map(FailureClass::as_str));
    each(FAILURES, "class", &[SOURCE_LOST]);
}

const SOURCES: [&str; 2] = ["file", "kept-copy"];
/// As the state file calls it.
const SOURCE_LOST: &str = "source-lost";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::written;
    use super::*;
    use crate::domain::testing::key;
    use crate::domain::time::Timestamp;

    fn renewed(from_kept_copy: bool) -> Event {
        let expires_at = Timestamp::from_unix_ms(0);
        Event::Renewed { key: key("a.png", "plivo"), url: "https://x".into(), expires_at, from_kept_copy }
    }

    #[test]
    fn what_happened_is_counted_and_what_has_not_is_zero() {
        let counters = Counters::default();
        let wait = Duration::ZERO;
        let failed =
            |class| Event::Failed { key: key("a", "plivo"), class, detail: String::new(), attempts: 1, wait };
        for event in [
            renewed(false),
            renewed(false),
            renewed(true),
            failed(FailureClass::Throttled),
            Event::Lapsed { key: key("a", "plivo") },
            Event::FolderBack,
        ] {
            counters.count(&event);
        }
        let mut samples = Samples::default();
        let providers = ["plivo", "bandwidth"].map(|name| ProviderName::new(name).unwrap());
        counters.add_to(&mut samples, providers.iter());
        let text = written(samples).unwrap();
        for line in [
            "mediakeep_renewals_total{provider=\"plivo\",source=\"file\"} 2.0",
            "mediakeep_renewals_total{provider=\"plivo\",source=\"kept-copy\"} 1.0",
            "mediakeep_upload_failures_total{provider=\"plivo\",class=\"throttled\"} 1.0",
            "mediakeep_upload_failures_total{provider=\"bandwidth\",class=\"credentials-refused\"} 0.0",
            "mediakeep_upload_failures_total{provider=\"plivo\",class=\"source-lost\"} 0.0",
            "mediakeep_lapses_total{provider=\"plivo\"} 1.0",
            "mediakeep_lapses_total{provider=\"bandwidth\"} 0.0",
            "mediakeep_clock_jumps_total 0.0",
        ] {
            assert!(text.lines().any(|there| there == line), "{line}\n{text}");
        }
    }
}
