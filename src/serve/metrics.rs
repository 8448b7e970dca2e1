//! Metrics: what there is to measure, and how it is written. Labels are accounts, conditions, classes and statuses,
//! never files: their number is bounded, whatever is kept alive.

mod counters;
mod gauges;

pub(super) use counters::{Counters, Counting};

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::answers::Context;
use crate::daemon::board::HookCounts;
use crate::domain::notice::{RunResult, Topic};

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, from zero at the start of the process.
    Counter,
}

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name, without the `_total` that ends a counter's.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it is, in a sentence fragment.
    pub help: &'static str,
}

impl Metric {
    /// The name under which it is queried.
    #[must_use]
    pub fn full_name(&self) -> String {
        match self.kind {
            MetricKind::Gauge => self.name.to_owned(),
            MetricKind::Counter => format!("{}_total", self.name),
        }
    }
}

macro_rules! metrics {
    ($($ident:ident $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $ident: &str = $name;)*
        /// Every metric, in the order in which they are written.
        pub static METRICS: &[Metric] = &[
            $(Metric { name: $name, kind: MetricKind::$kind, labels: &[$($label),*], help: $help },)*
        ];
    };
}

metrics! {
    BUILD Gauge "mediakeep_build_info" ["version"] "1, with the version of mediakeep";
    STARTED Gauge "mediakeep_start_time_seconds" [] "when the process started, in seconds since 1970";
    TURNED Gauge "mediakeep_last_turn_timestamp_seconds" [] "when the loop last took a turn; at most 30 s ago where it goes on";
    WALKED Gauge "mediakeep_last_walk_timestamp_seconds" [] "when the last walk through the whole folder ended; absent before the first one";
    READY Gauge "mediakeep_ready" [] "1 where /readyz answers 200, else 0";
    FOLDER Gauge "mediakeep_folder_usable" [] "1 if the watched folder can be looked at, else 0";
    STATE Gauge "mediakeep_state_writable" [] "1 if the state folder can be written, else 0";
    HELD_BACK Gauge "mediakeep_guard_held_back_entries" [] "entries whose retirement the guard holds back until it is approved";
    RELOADED Gauge "mediakeep_manifest_last_reload_successful" [] "1 if manifest and config could be used when they were last read, else 0: then the last ones that worked are in force";
    RELOADED_AT Gauge "mediakeep_manifest_last_reload_success_timestamp_seconds" [] "when manifest and config were last read and could be used, be it at the start; absent before that";
    WATCH Gauge "mediakeep_watch_mode" ["mode"] "1 for how changes of files are noticed (`starting`, `watching`, `polling`), 0 for the other ways";
    ENTRIES Gauge "mediakeep_entries" ["provider", "state"] "entries by their state, as `mediakeep status` calls it, with `-` for blanks";
    EXPIRY Gauge "mediakeep_nearest_expiry_timestamp_seconds" ["provider"] "when the first of the live URLs that are renewed expires; absent where there is none";
    LIFE Gauge "mediakeep_life_seconds" ["provider"] "how long a URL surely lives after its upload";
    MARGIN Gauge "mediakeep_margin_seconds" ["provider"] "how long before its end a URL is renewed at the latest, undisturbed";
    USABLE Gauge "mediakeep_account_usable" ["provider"] "1 if the account has credentials and takes requests, 0 if it has none or gets only probes";
    ACCEPTED Gauge "mediakeep_credentials_accepted" ["provider"] "0 if the account's credentials are missing or refused, else 1";
    IN_FLIGHT Gauge "mediakeep_uploads_in_flight" ["provider"] "uploads under way";
    WAITING Gauge "mediakeep_uploads_waiting" ["provider"] "uploads that are due and wait for their turn";
    UPLOADS Counter "mediakeep_uploads" ["provider"] "uploads of content that was not published before";
    RENEWALS Counter "mediakeep_renewals" ["provider", "source"] "uploads of content that was published before, from the `file` or from the `kept-copy`";
    FAILURES Counter "mediakeep_upload_failures" ["provider", "class"] "failed uploads by class, as under `problem` in the state file";
    AT_RISK Counter "mediakeep_at_risk" ["provider"] "published URLs that came to their last twentieth without a renewal";
    LAPSES Counter "mediakeep_lapses" ["provider"] "published URLs that died";
    VANISHED Counter "mediakeep_vanished" ["provider"] "published media that the provider did not hold any more when it was asked";
    FOREIGN Counter "mediakeep_foreign_content" ["provider"] "published media under whose ID something else was found";
    VERIFICATIONS Counter "mediakeep_verifications" ["provider", "result"] "looks at what the provider holds, `ok` or `failed`; of failures in a row the first";
    REQUESTS Counter "mediakeep_requests" ["provider", "status"] "HTTP requests, those for tokens too, by status; `none` without an answer, `other` for what is no HTTP status";
    HOOK_RUNS Counter "mediakeep_hook_runs" ["hook", "result"] "runs of hooks by how they ended: `ok`, `failed`, or `timeout` (killed, or no answer in time)";
    HOOK_LOST Counter "mediakeep_hook_news_lost" ["hook"] "news that a hook will not be told any more, because its runs failed too often or a reload removed it";
    JUMPS Counter "mediakeep_clock_jumps" [] "times that the wall clock was set, or the machine slept";
}

/// Names and values of labels, in the order of the metric.
pub(super) type Labels = Vec<(&'static str, String)>;

/// Numbers by metric and labels.
#[derive(Debug, Default)]
pub(super) struct Samples(BTreeMap<&'static str, BTreeMap<Labels, f64>>);

impl Samples {
    fn set(&mut self, metric: &'static str, labels: Labels, value: f64) {
        self.0.entry(metric).or_default().insert(labels, value);
    }
}

/// All metrics in the text format of `OpenMetrics`.
pub(super) fn exposition(context: &Context) -> String {
    let mut samples = gauges::gauges(context);
    let view = context.board.view();
    let providers = view.iter().flat_map(|view| view.overview.accounts.keys());
    context.counters.add_to(&mut samples, providers);
    for (provider, tally) in context.board.tallies() {
        for (answered, count) in tally.counts() {
            let labels = vec![("provider", provider.to_string()), ("status", answered.to_string())];
            samples.set(REQUESTS, labels, float(count));
        }
    }
    hooks(&context.board.hooks.counts(), &mut samples);
    written(samples).unwrap_or_default()
}

/// With a zero for what has not happened yet, so that the first time shows as a change.
fn hooks(counts: &HookCounts, samples: &mut Samples) {
    for topic in Topic::ALL {
        let hook = ("hook", topic.key().to_owned());
        for result in RunResult::ALL {
            let count = counts.runs.get(&(topic, result)).copied().unwrap_or_default();
            samples.set(HOOK_RUNS, vec![hook.clone(), ("result", result.as_str().to_owned())], float(count));
        }
        samples.set(HOOK_LOST, vec![hook], float(counts.lost.get(&topic).copied().unwrap_or_default()));
    }
}

fn written(samples: Samples) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(samples));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

impl Collector for Samples {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS {
            let Some(samples) = self.0.get(metric.name) else { continue };
            let kind = match metric.kind {
                MetricKind::Gauge => MetricType::Gauge,
                MetricKind::Counter => MetricType::Counter,
            };
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            for (labels, value) in samples {
                debug_assert!(labels.iter().map(|(name, _)| name).eq(metric.labels), "{}", metric.name);
                if labels.is_empty() {
                    // Braces around nothing are not wrong, but nobody expects them.
                    write_value(&mut family, metric.kind, *value)?;
                } else {
                    write_value(&mut family.encode_family(labels)?, metric.kind, *value)?;
                }
            }
        }
        Ok(())
    }
}

fn write_value(sample: &mut MetricEncoder<'_>, kind: MetricKind, value: f64) -> fmt::Result {
    match kind {
        MetricKind::Gauge => sample.encode_gauge(&value),
        MetricKind::Counter => sample.encode_counter::<Labels, f64, u64>(&value, None),
    }
}

/// A count as the format has it. Beyond 2^53 it is rounded, which no count here comes near.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_convention_and_are_there_once() {
        let mut names = std::collections::BTreeSet::new();
        for metric in METRICS {
            assert!(names.insert(metric.name), "{}", metric.name);
            assert!(metric.name.starts_with("mediakeep_"), "{}", metric.name);
            assert!(!metric.name.ends_with("_total"), "{}: it is added", metric.name);
            let is_time = metric.help.starts_with("when ") || metric.help.starts_with("how long ");
            assert_eq!(metric.name.ends_with("_seconds"), is_time, "{}", metric.name);
        }
    }

    #[test]
    fn hooks_are_counted_by_topic_and_result_and_what_has_not_happened_is_zero() {
        let board = crate::daemon::board::Board::default();
        board.hooks.ran(Topic::Risk, RunResult::Timeout);
        board.hooks.ran(Topic::Risk, RunResult::Timeout);
        board.hooks.lost(Topic::Risk, 7);
        let mut samples = Samples::default();
        hooks(&board.hooks.counts(), &mut samples);
        let text = written(samples).unwrap();
        for line in [
            "mediakeep_hook_runs_total{hook=\"on_risk\",result=\"timeout\"} 2.0\n",
            "mediakeep_hook_runs_total{hook=\"on_risk\",result=\"ok\"} 0.0\n",
            "mediakeep_hook_runs_total{hook=\"on_recover\",result=\"failed\"} 0.0\n",
            "mediakeep_hook_news_lost_total{hook=\"on_risk\"} 7.0\n",
            "mediakeep_hook_news_lost_total{hook=\"on_change\"} 0.0\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }

    #[test]
    fn values_are_escaped_and_the_end_is_marked() {
        let mut samples = Samples::default();
        samples.set(BUILD, vec![("version", "a\"b\\c\nd".to_owned())], 1.0);
        samples.set(JUMPS, Vec::new(), 3.0);
        let text = written(samples).unwrap();
        assert!(text.contains("mediakeep_build_info{version=\"a\\\"b\\\\c\\nd\"} 1.0\n"), "{text}");
        assert!(
            text.contains("# TYPE mediakeep_clock_jumps counter\nmediakeep_clock_jumps_total 3.0\n"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
