//! `mediakeep notify --test`: whether the hooks work, before they have to.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::args::{Global, Notify};
use super::exit::Exit;
use super::table::{render, shown, table};
use super::voice::{fail, fail_with_help, print, print_json};
use super::workspace::Workspace;
use crate::domain::manifest::{Hook, HookOptions};
use crate::hooks::{Runner, host, label, sample};
use crate::local::clock::{Clock as _, SystemClock};
use crate::local::state_store::STATE_FILE;
use crate::provider::credentials::ProcessEnvironment;

pub(super) fn run(global: &Global, options: &Notify) -> Result<Exit, Exit> {
    let workspace = Workspace::open(global)?;
    let wanted = |hook: &&Hook| options.hook.as_ref().is_none_or(|key| key == hook.topic.key());
    let configured = workspace.manifest.hooks.as_ref();
    let hooks: Vec<&Hook> = configured.iter().flat_map(|options| &options.hooks).filter(wanted).collect();
    let Some(HookOptions { timeout, .. }) = configured.filter(|_| !hooks.is_empty()) else {
        return Err(nothing_to_try(options.hook.as_deref().unwrap_or("hook"), global));
    };
    let state_file = workspace.manifest.sync.state_dir.join(STATE_FILE);
    let runner = Runner::new(Arc::new(ProcessEnvironment), &state_file, &workspace.manifest);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        fail(&format!("cannot start the runtime: {error}"));
        Exit::Unexpected
    })?;
    let results = runtime.block_on(try_all(&runner, &hooks, *timeout));
    // A disk with an address on it may hang: leaving never waits for it.
    runtime.shutdown_background();
    let ok = results.iter().all(|result| result.ok);
    let printed = if options.json {
        print_json(&Report { format: 1, ok, hooks: results })
    } else {
        print(&as_table(&results))
    };
    Ok(if ok { printed } else { Exit::Unexpected })
}

fn nothing_to_try(key: &str, global: &Global) -> Exit {
    let help = match &global.config {
        Some(config) => format!(
            "in {}, write [hook] and below it, for instance: on_risk = {{ command = [\"/path/to/program\"] }}",
            config.display()
        ),
        None => "hooks are in a file of their own, with [sync] and [provider.NAME]: name it by --config (or \
                 $MEDIAKEEP_CONFIG)"
            .to_owned(),
    };
    let what = if key == "hook" { "no hook".to_owned() } else { format!("no hook `{key}`") };
    fail_with_help(&format!("{what} is configured"), &help);
    Exit::Manifest
}

/// One after the other, so that what a hook shows is not mixed with what the next one does.
async fn try_all(runner: &Runner, hooks: &[&Hook], timeout: Duration) -> Vec<Tried> {
    let (now, host) = (SystemClock::new().now().wall, host());
    let mut results = Vec::new();
    for hook in hooks {
        let begin = Instant::now();
        let result = runner.run(&hook.target, &sample(hook.topic, now, &host), timeout).await;
        results.push(Tried {
            hook: hook.topic.key(),
            target: label(&hook.target),
            ok: result.is_ok(),
            problem: result.err().map(|error| error.to_string()),
            seconds: (begin.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        });
    }
    results
}

#[derive(Debug, Serialize)]
struct Report {
    format: u32,
    ok: bool,
    hooks: Vec<Tried>,
}

/// What became of one.
#[derive(Debug, Serialize)]
struct Tried {
    hook: &'static str,
    target: String,
    ok: bool,
    problem: Option<String>,
    seconds: f64,
}

fn as_table(results: &[Tried]) -> String {
    let mut table = table(&["hook", "target", "time", "result"]);
    for Tried { hook, target, problem, seconds, .. } in results {
        let result = problem.as_deref().unwrap_or("ok");
        table.add_row([*hook, &shown(target), &format!("{seconds:.2}s"), &shown(result)]);
    }
    render(&table)
}
