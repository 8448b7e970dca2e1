//! The `[hook]` table: who is told of changes, risks, failures and their ends.
//!
//! Only a config may hold it: whoever may edit the media must not be able to run a command.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use url::{Host, Url};

use super::Setting;
use super::keys::{HOOK, HOOK_TIMEOUT_MAX};
use super::location::resolve;
use super::problem::{Draft, Place, Problems, SourceName, Span};
use super::shape::{Complaint, Found, plain_path, setting, text, what};
use super::table::Fields;
use crate::domain::notice::Topic;
use crate::domain::time::format_duration;

/// The `[hook]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookOptions {
    /// How long a run may take.
    pub timeout: Duration,
    /// The hooks, in the order of the topics.
    pub hooks: Vec<Hook>,
}

impl HookOptions {
    /// Files that hold addresses.
    pub(super) fn secret_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.hooks.iter().filter_map(|hook| match &hook.target {
            Target::Webhook(Setting::File(path)) => Some(path),
            _ => None,
        })
    }
}

/// Who is told what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// What is told.
    pub topic: Topic,
    /// Who is told.
    pub target: Target,
}

/// Who is told.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A program with its arguments, started without a shell.
    Command {
        /// A path, absolute; or a name that is looked for in `$PATH`.
        program: PathBuf,
        /// What follows it.
        arguments: Vec<String>,
    },
    /// An address that takes a POST; or where it is to be found, because many of them hold a secret.
    Webhook(Setting),
}

/// Arguments and addresses may hold secrets, so neither is shown.
impl fmt::Debug for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { program, .. } => write!(out, "Command({})", program.display()),
            Self::Webhook(_) => out.write_str("Webhook"),
        }
    }
}

/// A target as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stated<'t> {
    Command(Vec<&'t str>),
    Webhook(Found<'t>),
}

/// The most targets of one topic.
pub(super) const TARGETS_MAX: usize = 8;
/// How long a run may take, unless the config says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);
const EXAMPLE: &str = "write { command = [\"/path/to/program\", \"argument\"] }, { webhook = \"https://host/path\" } or a list of such";

/// Reads one target or a list of them, each with its place.
pub(super) fn targets<'t>(value: &'t Spanned<DeValue<'t>>) -> Result<Vec<(Stated<'t>, Span)>, Complaint> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(vec![(target(table)?, value.span())]),
        DeValue::Array(items) if (1..=TARGETS_MAX).contains(&items.len()) => {
            let one = |item: &'t Spanned<DeValue<'t>>| match item.get_ref() {
                DeValue::Table(table) => {
                    target(table).map(|stated| (stated, item.span())).map_err(|wrong| wrong.part(item.span()))
                }
                other => Err(Complaint::new("must be a command or a webhook, or a list of such")
                    .label(what(other))
                    .help(EXAMPLE)
                    .part(item.span())),
            };
            items.iter().map(one).collect()
        }
        DeValue::Array(_) => {
            Err(Complaint::new(format!("must have from 1 to {TARGETS_MAX} targets")).help(EXAMPLE))
        }
        other => Err(Complaint::new("must be a command or a webhook").label(what(other)).help(EXAMPLE)),
    }
}

fn target<'t>(table: &'t DeTable<'t>) -> Result<Stated<'t>, Complaint> {
    let wrong = || Complaint::new("must be either a `command` or a `webhook`").help(EXAMPLE);
    let mut keys = table.iter();
    let (Some((key, value)), None) = (keys.next(), keys.next()) else { return Err(wrong()) };
    let read = match &**key.get_ref() {
        "command" => command(value),
        "webhook" => webhook(value.get_ref()),
        _ => return Err(wrong()),
    };
    read.map_err(|complaint| complaint.inside(key.get_ref()).part(value.span()))
}

fn command<'t>(value: &'t Spanned<DeValue<'t>>) -> Result<Stated<'t>, Complaint> {
    let refused = || {
        Complaint::new("must be a list of strings: the program and its arguments")
            .label(what(value.get_ref()))
            .help("no shell is used; where one is wanted, write [\"/bin/sh\", \"-c\", \"…\"]")
    };
    let items = value.get_ref().as_array().filter(|items| !items.is_empty()).ok_or_else(refused)?;
    let program = plain_path(text(items[0].get_ref())?, "must begin with a plain path")?;
    // An argument may be empty; a zero could not be handed over.
    let argument = |item: &'t Spanned<DeValue<'t>>| match item.get_ref().as_str() {
        Some(argument) if !argument.contains('\0') => Ok(argument),
        _ => Err(refused()),
    };
    let arguments = items[1..].iter().map(argument);
    std::iter::once(Ok(program)).chain(arguments).collect::<Result<_, _>>().map(Stated::Command)
}

fn webhook<'t>(value: &'t DeValue<'t>) -> Result<Stated<'t>, Complaint> {
    let found = setting(value)?;
    if let Found::Literal(text) = found {
        webhook_address(text).map_err(Complaint::new)?;
    }
    Ok(Stated::Webhook(found))
}

/// Reads the address of a webhook: https, or http on this machine.
///
/// # Errors
/// What is wrong with it, in words that fit after its name and do not repeat it.
pub fn webhook_address(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL such as https://host/path")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password before the host");
    }
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err("is not a URL such as https://host/path"),
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        _ => Err("must begin with https:// (http:// is for this machine only)"),
    }
}

/// The table's options. What is refused in it becomes a problem.
pub(super) fn read<'t>(
    table: &(&'t DeTable<'t>, Span),
    source: SourceName,
    folder: &Path,
    root: &Path,
    problems: &mut Problems,
) -> HookOptions {
    let fields = Fields::of(&HOOK, table, source, problems);
    let timeout = fields.length("timeout");
    if let Some(at) = timeout.as_ref().filter(|at| at.value > HOOK_TIMEOUT_MAX) {
        let draft = Draft::error(format!("`timeout` is at most {}", format_duration(HOOK_TIMEOUT_MAX)));
        problems.add(draft.at(&at.place, "").help("let the hook begin what takes longer, and end"));
    }
    let timeout = timeout.map_or(TIMEOUT, |at| at.value);
    let mut hooks = Vec::new();
    for topic in Topic::ALL {
        for (stated, span) in fields.hooks(topic.key()) {
            let target = match stated {
                Stated::Command(words) => command_of(words, folder),
                Stated::Webhook(found) => Target::Webhook(found.resolve(folder)),
            };
            if let Target::Command { program, .. } = &target
                && program.starts_with(root)
            {
                problems.add(in_root(topic, &Place::new(source, span)));
            }
            hooks.push(Hook { topic, target });
        }
    }
    HookOptions { timeout, hooks }
}

fn command_of(words: &[&str], folder: &Path) -> Target {
    let (program, arguments) = words.split_first().expect("a command without a program is refused");
    let program = if program.contains('/') { resolve(folder, Path::new(program)) } else { program.into() };
    Target::Command { program, arguments: arguments.iter().map(|&word| word.to_owned()).collect() }
}

fn in_root(topic: Topic, place: &Place) -> Draft {
    Draft::error(format!("the program of `{}` can't be in the watched folder", topic.key()))
        .at(place, "")
        .help("whoever may edit the media must not be able to run a command: put it elsewhere")
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{read as read_alone, read_both};
    use super::super::{Parsed, Severity};
    use super::*;

    fn with(hook: &str) -> Parsed {
        let config = format!("version = 1\n[sync]\nstate_dir = \"/var/lib/x\"\n[hook]\n{hook}");
        read_both("version = 1\n", &config)
    }

    fn hooks(hook: &str) -> HookOptions {
        let parsed = with(hook);
        let problems = parsed.problems;
        parsed.manifest.unwrap_or_else(|| panic!("{problems:?}")).hooks.unwrap()
    }

    fn program(path: &str, arguments: &[&str]) -> Target {
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        Target::Command { program: path.into(), arguments }
    }

    #[test]
    fn commands_and_webhooks_are_read() {
        for (text, target) in [
            ("{ command = [\"/usr/bin/a\", \"b c\", \"\"] }", program("/usr/bin/a", &["b c", ""])),
            ("{ command = [\"logger\"] }", program("logger", &[])),
            ("{ command = [\"./hooks/a\"] }", program("/etc/mediakeep/hooks/a", &[])),
            (
                "{ webhook = \"https://h.example/x?y=1\" }",
                Target::Webhook(Setting::Literal("https://h.example/x?y=1".to_owned())),
            ),
            ("{ webhook = { env = \"W\" } }", Target::Webhook(Setting::Env("W".to_owned()))),
            ("{ webhook = { file = \"w\" } }", Target::Webhook(Setting::File("/etc/mediakeep/w".into()))),
        ] {
            let options = hooks(&format!("on_risk = {text}"));
            assert_eq!(options.hooks, [Hook { topic: Topic::Risk, target }]);
            assert_eq!(options.timeout, Duration::from_secs(30));
        }
        let several = hooks(
            "timeout = \"5s\"\non_recover = { webhook = \"http://127.0.0.1:1/\" }\n\
             on_change = [{ command = [\"a\"] }, { webhook = { credential = \"w\" } }]",
        );
        assert_eq!(several.timeout, Duration::from_secs(5));
        let topics: Vec<_> = several.hooks.iter().map(|hook| hook.topic).collect();
        assert_eq!(topics, [Topic::Change, Topic::Change, Topic::Recover]);
        assert!(hooks("").hooks.is_empty());
    }

    #[test]
    fn what_is_neither_is_refused() {
        for hook in [
            "on_change = \"/usr/bin/a\"",
            "on_change = []",
            "on_change = {}",
            "on_change = [\"/usr/bin/a\"]",
            "on_change = { command = \"/usr/bin/a\" }",
            "on_change = { command = [] }",
            "on_change = { command = [\"\"] }",
            "on_change = { command = [\"a\", 1] }",
            "on_change = { command = [\"a\", \"\\u0000\"] }",
            "on_change = { command = [\"~/a\"] }",
            "on_change = { command = [\"/srv/media/a\"] }",
            "on_change = { command = [\"../../srv/media/a\"] }",
            "on_change = { command = [\"a\"], webhook = \"https://h.example\" }",
            "on_change = { program = [\"a\"] }",
            "on_change = { webhook = \"http://h.example\" }",
            "on_change = { webhook = \"https://user:word@h.example\" }",
            "on_change = { webhook = \"h.example\" }",
            "on_change = { webhook = \"unix:/x\" }",
            "on_change = { webhook = { variable = \"x\" } }",
            "on_change = { webhook = 1 }",
            "on_changes = { command = [\"a\"] }",
            "timeout = \"10ms\"",
            "timeout = \"2h\"",
            "timeout = 30",
        ] {
            assert_eq!(with(hook).errors(), 1, "{hook}: {:?}", with(hook).problems);
        }
        let many = ["{ command = [\"a\"] }"; TARGETS_MAX + 1].join(", ");
        assert_eq!(with(&format!("on_change = [{many}]")).errors(), 1);
    }

    #[test]
    fn a_manifest_never_runs_a_command_whether_there_is_a_config_or_not() {
        let table = "version = 1\n[hook]\non_change = { command = [\"/bin/true\"] }\n";
        for parsed in [read_alone(table), read_both(table, "version = 1\n")] {
            assert!(parsed.manifest.is_none());
            let errors: Vec<_> =
                parsed.problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
            assert_eq!(errors[0].message, "[hook] can't stand in the manifest");
            assert!(errors[0].help.as_ref().unwrap().contains("--config"));
        }
    }

    #[test]
    fn no_debug_shows_an_argument_or_an_address() {
        let options = hooks(
            "on_change = [{ command = [\"/bin/a\", \"c4n4ry\"] }, { webhook = \"https://h.example/c4n4ry\" }]",
        );
        let shown = format!("{options:?}");
        assert!(shown.contains("/bin/a") && !shown.contains("c4n4ry"), "{shown}");
    }
}
