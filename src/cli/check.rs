//! `mediakeep check`: everything that can be known to be wrong without asking a provider.

use serde::Serialize;

use super::args::{Check, Global};
use super::diagnostics;
use super::exit::Exit;
use super::table::{count, shown};
use super::voice::{self, fail, note, print_json, tell, warn};
use super::workspace::{Texts, Workspace, unresolved};
use crate::domain::asset::ProviderName;
use crate::domain::manifest::{self, Files};
use crate::domain::plan::{Action, PlanItem};
use crate::domain::reconciler::Capacity;
use crate::domain::time::format_duration;
use crate::hooks;
use crate::provider;
use crate::provider::credentials::ProcessEnvironment;

pub(super) fn run(global: &Global, options: &Check) -> Result<Exit, Exit> {
    if options.schema {
        return Ok(print_json(&manifest::schema(provider::KINDS)));
    }
    let texts = Texts::read(global)?;
    let parsed = texts.parse();
    let mut findings: Vec<Finding> = Vec::new();
    if !options.json {
        voice::problems(&parsed.problems);
    }
    let broken = parsed.manifest.is_none();
    if !broken {
        let workspace = Workspace::parse(texts)?;
        findings.extend(look_further(&workspace)?);
    }
    let failed = broken || findings.iter().any(Finding::is_error);
    let printed = if options.json {
        let problems = diagnostics::records(&parsed.problems);
        print_json(&Report { format: 1, ok: !failed, problems, findings })
    } else {
        findings.iter().for_each(Finding::tell);
        if !failed {
            tell("ok");
        }
        Exit::Done
    };
    Ok(if failed { Exit::Manifest } else { printed })
}

/// Credentials, the files that are there, and whether all of it can be kept alive.
fn look_further(workspace: &Workspace) -> Result<Vec<Finding>, Exit> {
    let credentials = unresolved(&workspace.manifest).into_iter();
    let mut findings: Vec<Finding> =
        credentials.map(|message| Finding::Credential { severity: "error", message }).collect();
    let targets = workspace.manifest.hooks.iter();
    let targets = targets.flat_map(|options| hooks::unresolved(options, &ProcessEnvironment));
    findings.extend(targets.map(|message| Finding::Hook { severity: "error", message }));
    let (mut engine, now) = workspace.looked_at()?;
    findings.extend(engine.capacity().into_iter().filter(Capacity::is_exceeded).map(Finding::capacity));
    let blocked = engine.plan(now, false).items.into_iter().filter(|item| item.action == Action::Blocked);
    findings.extend(blocked.map(Finding::blocked));
    let unmatched = engine.rules_without_files().into_iter();
    findings.extend(unmatched.filter_map(|rule| Finding::without_files(workspace, rule)));
    for Capacity { provider, entries, .. } in engine.capacity() {
        tell(&format!("{} at {provider}", count(entries, "entry", "entries")));
    }
    Ok(findings)
}

#[derive(Debug, Serialize)]
struct Report<'p> {
    format: u32,
    ok: bool,
    /// What is wrong with the text.
    problems: Vec<diagnostics::ProblemRecord<'p>>,
    /// What is wrong with what it is about.
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Finding {
    Credential { severity: &'static str, message: String },
    Hook { severity: &'static str, message: String },
    Capacity { severity: &'static str, provider: ProviderName, entries: usize, message: String },
    Blocked { severity: &'static str, file: String, provider: ProviderName, message: String },
    RuleWithoutFiles { severity: &'static str, manifest: String, line: usize, message: String, help: String },
}

impl Finding {
    fn capacity(capacity: Capacity) -> Self {
        let Capacity { provider, entries, round, margin } = capacity;
        let (round, margin) = (format_duration(round), format_duration(margin));
        let message = format!(
            "{entries} entries at {provider} take {round} to renew and verify at the allowed rate, and the margin is {margin}; \
             raise rate or margin, look less often (verify), or publish fewer files"
        );
        Self::Capacity { severity: "error", provider, entries, message }
    }

    fn blocked(item: PlanItem) -> Self {
        Self::Blocked {
            severity: "warning",
            file: item.key.path.as_str().to_owned(),
            provider: item.key.provider,
            message: item.why,
        }
    }

    /// A rule with a glob that matches nothing: a slip in it shows nowhere else.
    fn without_files(workspace: &Workspace, rule: usize) -> Option<Self> {
        let rule = workspace.manifest.rules.get(rule)?;
        let Files::Glob { include, .. } = &rule.files else { return None };
        let root = workspace.manifest.sync.root.display();
        Some(Self::RuleWithoutFiles {
            severity: "note",
            manifest: workspace.texts.manifest.name.clone(),
            line: rule.line,
            message: format!("files = {:?} matches no file at present", include.glob().glob()),
            help: format!(
                "the pattern starts at {root}, letter case counts, and only `**/` reaches into sub-folders; mend it or its \
                 `exclude`, or put files there"
            ),
        })
    }

    fn is_error(&self) -> bool {
        matches!(self, Self::Credential { .. } | Self::Hook { .. } | Self::Capacity { .. })
    }

    fn tell(&self) {
        match self {
            Self::Credential { message, .. }
            | Self::Hook { message, .. }
            | Self::Capacity { message, .. } => {
                fail(message);
            }
            Self::Blocked { file, provider, message, .. } => {
                warn(&format!("{} at {provider} would be blocked: {}", shown(file), shown(message)));
            }
            Self::RuleWithoutFiles { manifest, line, message, help, .. } => {
                note(&format!("{manifest}:{line}: {message}"), help);
            }
        }
    }
}
