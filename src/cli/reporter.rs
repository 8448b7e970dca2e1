//! Who tells the person at the terminal what a pass or a daemon does.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::daemon::{Observer, ScanProgress};
use crate::domain::event::Event;
use crate::telemetry;

/// Counts what a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub uploaded: usize,
    pub renewed: usize,
    pub failed: usize,
}

/// Logs everything: for the daemon.
pub(super) struct LogReporter;

impl Observer for LogReporter {
    fn event(&mut self, event: &Event) {
        telemetry::log(event);
    }

    fn warning(&mut self, text: &str) {
        tracing::warn!("{text}");
    }

    fn progress(&mut self, _backlog: usize, _scan: ScanProgress) {}
}

/// A progress bar on a terminal, lines for what went wrong, and counts for the end: for one pass.
pub(super) struct PassReporter {
    bar: ProgressBar,
    counts: std::sync::Arc<std::sync::Mutex<Counts>>,
    /// Whether each upload is worth a line of its own.
    verbose: bool,
    /// Uploads that were waited for and are over, and those that are not.
    finished: usize,
    backlog: usize,
}

impl PassReporter {
    pub(super) fn new(visible: bool, verbose: bool) -> (Self, std::sync::Arc<std::sync::Mutex<Counts>>) {
        let target =
            if visible { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::default_spinner());
        bar.set_message("looking");
        if visible {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        let counts = std::sync::Arc::<std::sync::Mutex<Counts>>::default();
        (Self { bar, counts: counts.clone(), verbose, finished: 0, backlog: 0 }, counts)
    }

    fn count(&self, event: &Event) {
        let Ok(mut counts) = self.counts.lock() else { return };
        match event {
            Event::Uploaded { .. } => counts.uploaded += 1,
            Event::Renewed { .. } => counts.renewed += 1,
            Event::Failed { .. } => counts.failed += 1,
            _ => {}
        }
    }
}

impl Observer for PassReporter {
    fn event(&mut self, event: &Event) {
        self.count(event);
        let routine = matches!(event, Event::Uploaded { .. } | Event::Renewed { .. });
        if !routine || self.verbose {
            self.bar.suspend(|| telemetry::log(event));
        }
    }

    fn warning(&mut self, text: &str) {
        self.bar.suspend(|| tracing::warn!("{text}"));
    }

    fn progress(&mut self, backlog: usize, scan: ScanProgress) {
        if self.bar.is_hidden() {
            return;
        }
        if scan.active && backlog == 0 {
            self.bar.set_message(format!("looking: {} files, {} read", scan.seen, scan.hashed));
            return;
        }
        if backlog > 0 && self.finished + self.backlog == 0 {
            let style = ProgressStyle::with_template("{spinner} {msg} {wide_bar} {pos}/{len} {eta}");
            self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.bar.set_message("uploading");
        }
        self.finished += self.backlog.saturating_sub(backlog);
        self.backlog = backlog;
        self.bar.set_length((self.finished + backlog) as u64);
        self.bar.set_position(self.finished as u64);
    }
}

impl Drop for PassReporter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
