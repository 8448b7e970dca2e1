//! What can be typed. Help, man page and completions are made from these definitions.

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

/// Keeps uploaded media alive at providers that throw it away.
#[derive(Debug, Parser)]
#[command(name = "mediakeep", version, max_term_width = 100)]
#[command(about = ABOUT, after_help = exit_codes())]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The definitions that help, man page and completions are made from: those of the types here, but for options
/// that some commands have no use for and do not show.
pub(super) fn command() -> clap::Command {
    let path = clap::value_parser!(PathBuf);
    let hidden = move |id: &'static str| Arg::new(id).long(id).hide(true).value_parser(path.clone());
    ["emulate", "demo", "completions", "man"].into_iter().fold(Cli::command(), |command, name| {
        command.mut_subcommand(name, |sub| sub.arg(hidden("manifest").short('m')).arg(hidden("config")))
    })
}

/// What was typed.
///
/// # Errors
/// What is wrong with it; a wish for help is an error, too.
pub(super) fn parse() -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(std::env::args_os());
    Cli::from_arg_matches(&matches.map_err(|error| name_empty_variable(error, &mut command))?)
}

/// An empty variable does not count as none: where it names the config, its accounts must not become the manifest's
/// business by a slip in a script. So it is an error, which clap tells of an option that nobody typed.
fn name_empty_variable(error: clap::Error, command: &mut clap::Command) -> clap::Error {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return error };
    let is_it =
        |arg: &&Arg| error.kind() == ErrorKind::InvalidValue && arg.to_string() == *option && !is_typed(arg);
    let variable = command.get_arguments().find(is_it).and_then(Arg::get_env);
    let empty = variable.filter(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()));
    match empty.map(|name| format!("${} is empty; name a file in it, or unset it", name.display())) {
        Some(message) => command.error(ErrorKind::InvalidValue, message),
        None => error,
    }
}

/// Whether an option is among what was typed, with a value or without.
fn is_typed(arg: &Arg) -> bool {
    let long = arg.get_long().map(|name| format!("--{name}"));
    let short = arg.get_short().map(|letter| format!("-{letter}"));
    std::env::args_os().skip(1).any(|word| {
        let word = word.to_string_lossy();
        long.iter().chain(&short).any(|name| word.starts_with(name))
    })
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// The manifest
    #[arg(
        short,
        long,
        global = true,
        value_name = "PATH",
        env = "MEDIAKEEP_MANIFEST",
        hide_env_values = true,
        default_value = "media.toml"
    )]
    pub manifest: PathBuf,
    /// A trusted file for settings and accounts.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "MEDIAKEEP_CONFIG",
        hide_env_values = true,
        help = "A trusted file for [sync] and [provider.NAME], which the manifest may then not hold, [serve] and [hook]"
    )]
    pub config: Option<PathBuf>,
    /// How lines on standard error look: text for people, or one JSON object each
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Say more on standard error; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "said where the option is; a text here would be printed in each help")]
pub enum LogFormat {
    Text,
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The daemon: sync, then watch and renew until it is stopped
    #[command(after_help = RUN)]
    Run,
    /// One pass: upload what is new, changed or due, publish, exit
    #[command(after_help = SYNC)]
    Sync(Sync),
    /// Show what sync would do and why; makes no request and writes nothing
    #[command(after_help = PLAN)]
    Plan(Plan),
    /// Check manifest, config, credential references, hooks, limits and capacity, without the network
    #[command(after_help = CHECK)]
    Check(Check),
    /// Show every entry: state, URL, time to renewal and to expiry, problem
    #[command(after_help = STATUS)]
    Status(Status),
    /// Print one URL, for scripts
    #[command(after_help = URL)]
    Url(Url),
    /// Try the hooks of the config, each once, with news that are marked as a test
    #[command(after_help = NOTIFY)]
    Notify(Notify),
    /// Release the guard for exactly the entries that it shows
    #[command(after_help = APPROVE)]
    Approve(Approve),
    /// Write media.toml for the folder that you stand in
    #[command(after_help = INIT)]
    Init(Init),
    /// Run Bandwidth and Plivo on loopback, with a clock that can be moved
    #[command(after_help = EMULATE)]
    Emulate(Emulate),
    /// See it work: emulator, sample folder and daemon in one process, retention cut to seconds
    #[command(after_help = DEMO)]
    Demo(Demo),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS)]
    Completions(Completions),
    /// Print the manual page
    #[command(after_help = MAN)]
    Man,
}

/// Options of `sync`.
#[derive(Args, Clone, Copy, Debug)]
pub struct Sync {
    /// Print every entry as JSON in the end
    #[arg(long)]
    pub json: bool,
}

/// Options of `status`.
#[derive(Args, Clone, Copy, Debug)]
pub struct Status {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Options of `plan`.
#[derive(Args, Debug)]
pub struct Plan {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// Exit with 10 if anything is due
    #[arg(long)]
    pub exit_code: bool,
    /// Show entries that need nothing, too
    #[arg(long)]
    pub all: bool,
}

/// Options of `check`.
#[derive(Args, Debug)]
pub struct Check {
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
    /// Print the manifest's JSON Schema for editors, and check nothing
    #[arg(long, conflicts_with = "json")]
    pub schema: bool,
}

/// Options of `url`.
#[derive(Args, Debug)]
pub struct Url {
    /// The file, relative to root
    #[arg(value_name = "FILE")]
    pub file: String,
    /// At which provider; needed where the file is at several
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
}

/// Options of `notify`.
#[derive(Args, Debug)]
pub struct Notify {
    /// Run the hooks now; without it there is nothing to do
    #[arg(long, required = true)]
    pub test: bool,
    /// Only those of one key
    #[arg(long, value_name = "KEY", value_parser = ["on_change", "on_risk", "on_failure", "on_recover"])]
    pub hook: Option<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Options of `approve`.
#[derive(Args, Debug)]
pub struct Approve {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Options of `init`.
#[derive(Args, Debug)]
pub struct Init {
    /// For which kind of provider (repeatable); bandwidth, or beside a config all of its accounts, unless stated
    #[arg(long = "provider", value_name = "KIND")]
    pub providers: Vec<String>,
    /// Print the manifest instead of writing it
    #[arg(long)]
    pub stdout: bool,
}

/// Options of `emulate`.
#[derive(Args, Debug)]
pub struct Emulate {
    /// A loopback address and port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8480")]
    pub listen: std::net::SocketAddr,
    /// The password, client secret and auth token of everybody
    #[arg(long, value_name = "TEXT", default_value = "demo")]
    pub password: String,
    /// Shorten a provider's retention, as in bandwidth=24s (repeatable)
    #[arg(long, value_name = "PROVIDER=TIME")]
    pub retention: Vec<String>,
}

/// Options of `demo`.
#[derive(Args, Debug)]
pub struct Demo {
    /// How long to watch
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub duration: String,
}

/// Options of `completions`.
#[derive(Args, Debug)]
pub struct Completions {
    /// For which shell
    pub shell: clap_complete::Shell,
}

/// What the program is, for the top of its help and of its manual page.
pub(super) const ABOUT: &str = "\
Keeps uploaded media alive at providers that throw it away.

A folder and a manifest say what must exist at which provider. mediakeep uploads what is new or changed, uploads it \
again before the provider's retention ends, and publishes the URLs in a state file that any program can read.";

/// The exit codes and what they mean.
pub(super) const EXIT_CODES: [(u8, &str); 9] = [
    (0, "done: every entry that should be alive is"),
    (1, "something unexpected"),
    (2, "wrong usage"),
    (3, "the manifest, the config or a credential reference is wrong"),
    (4, "an entry is without a live URL, blocked ones included; another try may help"),
    (5, "another instance holds the lock"),
    (6, "halted by the guard"),
    (7, "a provider refused the credentials"),
    (10, "plan --exit-code: something is due"),
];

fn exit_codes() -> String {
    let lines = EXIT_CODES.map(|(code, meaning)| format!("\n  {code:<3} {meaning}"));
    format!("Exit codes:{}", lines.concat())
}

const RUN: &str = "\
It uploads what is new or changed as soon as the file is quiet, uploads everything again before it ends, and keeps \
the state file and the exports up to date.

SIGTERM and Ctrl-C stop it gently, a second one at once. SIGHUP reads manifest, config and credentials again; a \
changed manifest is noticed by itself. Where the present manifest is broken or absent, it starts from the last one \
that worked, and says so.";

const SYNC: &str = "\
It waits up to 30 s for files that are being written, and tries each upload three times at most.

Without a daemon it must be started more often than the shortest margin: that is about a day at Bandwidth and three \
hours at Plivo.";

const PLAN: &str = "\
It needs no credentials and asks no provider. A file that is gone is shown as one to retire, or, where the \
guard would hold it back, as one to keep alive: either happens once it has been gone for a minute, and until then the \
exit code is not 6.

Examples:
  mediakeep plan                                  what is due
  mediakeep plan --all                            every entry, with the time to its renewal
  mediakeep plan --exit-code || mediakeep sync    sync only where something is due";

const CHECK: &str = "\
It reports everything at once, with its place and what to write instead. What is wrong with single files (too large, \
of a type that the provider refuses) is a warning; they would be blocked, and others go on.

Examples:
  mediakeep check
  mediakeep check --schema > media.schema.json    for an editor that checks TOML";

const STATUS: &str = "\
It reads the state file, looks at no media and asks nobody. States:
  alive       the URL is alive
  kept alive  the same, of the recorded content: the file itself is missing or cannot be used
  at risk     the URL ends soon, and its renewal has not succeeded so far
  retired     it left the manifest or its glob; its URL ends by itself
  lapsed      the URL has died
  blocked     the file cannot be uploaded as it is
  failing     the upload fails
  waiting     not uploaded yet
What stands in the way of many entries at once (credentials that are missing or refused, a guard that holds, a folder \
that cannot be looked at) is shown as the last run or sync found it, and so is an approval that was given and not used.

It exits 4 where an entry is lapsed, blocked, failing or waiting; and before that as sync would: 3 where credentials \
are missing, 1 where the folder cannot be looked at, 7 where credentials are refused, 6 where the guard holds.";

const URL: &str = "\
It exits 4 and prints nothing where no URL is alive, and 2 where the file is at several providers and none is chosen.

Examples:
  mediakeep url brand/logo.png
  url=$(mediakeep url brand/logo.png --provider bandwidth) || echo 'send without the picture'";

const NOTIFY: &str = "\
It needs a config with a [hook] table. Each command and webhook gets one sample, in which \"test\" is true; nothing is \
repeated, and no state is read or written. A daemon that runs does not notice.

It exits 1 where a hook failed, and 3 where the config is wrong or has no such hook.

Example:
  mediakeep notify --test --config /etc/mediakeep/mediakeep.toml";

const APPROVE: &str = "\
The guard holds back what looks like an accident: a folder that is missing, empty or another file system, a rule that \
lost all its files, or more than 30 % (and more than ten) of all entries at once. Meanwhile everything is kept alive. \
An approval counts once, for exactly the entries that were shown; nothing is deleted at a provider, their URLs end by \
themselves.";

const INIT: &str = "\
It looks at what lies in the folder, never writes over a file, and asks no provider. Where --manifest or \
$MEDIAKEEP_MANIFEST names another file, it writes that one, for the folder that it is in. Where --config or $MEDIAKEEP_CONFIG names a \
config, the manifest goes without accounts and names those of the config.

Examples:
  mediakeep init
  mediakeep init --provider bandwidth --provider plivo --stdout";

const EMULATE: &str = "\
Point an account's base_url (and token_url) at the addresses that it prints. Any user with the password is let in. \
Under /_emulator/ its clock can be moved, faults be scripted, requests and stored media be listed.

Example:
  mediakeep emulate --retention bandwidth=24s --retention plivo=16s
  curl -d '{\"advance\": \"24h\"}' http://127.0.0.1:8480/_emulator/clock";

const DEMO: &str = "It needs no account, no network and no manifest. Ctrl-C ends it.";

const COMPLETIONS: &str = "\
Examples:
  mediakeep completions bash > ~/.local/share/bash-completion/completions/mediakeep
  mediakeep completions zsh > ~/.zfunc/_mediakeep
  mediakeep completions fish > ~/.config/fish/completions/mediakeep.fish";

const MAN: &str = "\
Examples:
  mediakeep man | man -l -
  mediakeep man > /usr/local/share/man/man1/mediakeep.1";
