//! How things stand, counted when it is asked for.

use std::collections::BTreeMap;

use super::{
    ACCEPTED, BUILD, ENTRIES, EXPIRY, FOLDER, HELD_BACK, IN_FLIGHT, LIFE, Labels, MARGIN, READY, RELOADED,
    RELOADED_AT, STARTED, STATE, Samples, TURNED, USABLE, WAITING, WALKED, WATCH, float,
};
use crate::daemon::board::View;
use crate::domain::asset::ProviderName;
use crate::domain::condition::Condition;
use crate::domain::failure::FailureClass;
use crate::domain::obstacles::{AccountProblem, CREDENTIALS_MISSING};
use crate::domain::time::{Now, Timestamp};
use crate::local::watcher::Mode;
use crate::serve::answers::Context;
use crate::serve::rows::rows;

/// Everything that goes up and down.
pub(super) fn gauges(context: &Context) -> Samples {
    let mut samples = Samples::default();
    let now = context.clock.now();
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    samples.set(BUILD, version, 1.0);
    samples.set(STARTED, Labels::new(), seconds(context.started));
    samples.set(TURNED, Labels::new(), seconds(now.wall - context.board.heartbeat.age()));
    samples.set(READY, Labels::new(), flag(context.not_ready().is_empty()));
    if let Some(view) = context.board.view() {
        surroundings(&view, &mut samples);
        accounts(&view, &mut samples);
        entries(&view, now, &mut samples);
    }
    samples
}

fn surroundings(view: &View, samples: &mut Samples) {
    let obstacles = &view.overview.obstacles;
    if let Some(walked_at) = view.walked_at {
        samples.set(WALKED, Labels::new(), seconds(walked_at.wall));
    }
    samples.set(FOLDER, Labels::new(), flag(obstacles.folder.is_none()));
    samples.set(STATE, Labels::new(), flag(view.overview.state_writable));
    let held_back = obstacles.guard.as_ref().map_or(0, |guard| guard.entries);
    samples.set(HELD_BACK, Labels::new(), float(held_back as u64));
    samples.set(RELOADED, Labels::new(), flag(view.reading.broken.is_none()));
    if let Some(at) = view.reading.succeeded_at {
        samples.set(RELOADED_AT, Labels::new(), seconds(at));
    }
    let present = mode_name(&view.watching);
    for mode in ["starting", "watching", "polling"] {
        samples.set(WATCH, vec![("mode", mode.to_owned())], flag(mode == present));
    }
}

pub(in crate::serve) const fn mode_name(mode: &Mode) -> &'static str {
    match mode {
        Mode::Starting => "starting",
        Mode::Watching { .. } => "watching",
        Mode::Polling { .. } => "polling",
    }
}

fn accounts(view: &View, samples: &mut Samples) {
    for (name, account) in &view.overview.accounts {
        let mut set = |metric, value| samples.set(metric, vec![("provider", name.to_string())], value);
        let problem = view.overview.obstacles.accounts.get(name);
        set(LIFE, account.terms.life.as_secs_f64());
        set(MARGIN, account.terms.margin.as_secs_f64());
        set(
            USABLE,
            flag(account.connected && problem.is_none_or(|problem| &*problem.kind == CREDENTIALS_MISSING)),
        );
        set(ACCEPTED, flag(!problem.is_some_and(about_credentials)));
        set(IN_FLIGHT, float(account.in_flight as u64));
        set(WAITING, float(account.waiting as u64));
    }
}

fn about_credentials(problem: &AccountProblem) -> bool {
    [CREDENTIALS_MISSING, FailureClass::CredentialsRefused.as_str()].contains(&&*problem.kind)
}

fn entries(view: &View, now: Now, samples: &mut Samples) {
    let mut counts: BTreeMap<&ProviderName, BTreeMap<Condition, u64>> = BTreeMap::new();
    let mut expiry: BTreeMap<&ProviderName, Timestamp> = BTreeMap::new();
    for name in view.overview.accounts.keys() {
        counts.insert(name, Condition::ALL.map(|condition| (condition, 0)).into());
    }
    for row in rows(view, now) {
        let provider = &row.entry.key.provider;
        *counts.entry(provider).or_default().entry(row.condition).or_default() += 1;
        if let Some(handle) = row.live().filter(|_| row.condition != Condition::Retired) {
            let first = expiry.entry(provider).or_insert(handle.expires_at);
            *first = handle.expires_at.min(*first);
        }
    }
    for (provider, counts) in counts {
        for (condition, count) in counts {
            let state = condition.as_str().replace(' ', "-");
            samples.set(ENTRIES, vec![("provider", provider.to_string()), ("state", state)], float(count));
        }
    }
    for (provider, first) in expiry {
        samples.set(EXPIRY, vec![("provider", provider.to_string())], seconds(first));
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay far below 2^53")]
fn seconds(moment: Timestamp) -> f64 {
    moment.unix_ms() as f64 / 1000.0
}

const fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}
