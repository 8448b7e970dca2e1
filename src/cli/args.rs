//! What can be typed. Help, man page and completions are made from these definitions.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keeps uploaded media alive at providers that throw it away.
///
/// A folder and a manifest say what must exist at which provider. mediakeep uploads what is new or changed, uploads
/// it again before the provider's retention window ends, and publishes the URLs in a state file.
#[derive(Debug, Parser)]
#[command(name = "mediakeep", version, max_term_width = 100, propagate_version = true)]
#[command(after_help = EXIT_CODES)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// The manifest
    #[arg(
        short,
        long,
        global = true,
        value_name = "PATH",
        env = "MEDIAKEEP_MANIFEST",
        default_value = "media.toml"
    )]
    pub manifest: PathBuf,
    /// A trusted file for [sync] and [provider.*]; the manifest may then hold neither
    #[arg(long, global = true, value_name = "PATH", env = "MEDIAKEEP_CONFIG")]
    pub config: Option<PathBuf>,
    /// How log lines on standard error look
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
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The daemon: sync, then watch and renew until SIGTERM
    Run,
    /// One pass: upload what is new, changed or due, publish, exit
    Sync(Json),
    /// What sync would do and why; makes no request and writes nothing
    Plan(Plan),
    /// Check manifest, config, credential references, limits and capacity, without the network
    Check(Check),
    /// Every entry: state, URL, time to renewal and to expiry, problem
    Status(Json),
    /// Print one URL, for scripts
    Url(Url),
    /// Release the guard for exactly the entries that it shows
    Approve(Approve),
    /// Write a manifest for the folder that you stand in
    Init(Init),
    /// Bandwidth and Plivo on loopback, with a clock that can be moved
    Emulate(Emulate),
    /// See it work: emulator, sample folder and daemon in one process, with retention cut to seconds
    Demo(Demo),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the manual page
    Man,
}

/// The one option of several commands.
#[derive(Args, Clone, Copy, Debug)]
pub struct Json {
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
    /// For which provider (repeatable)
    #[arg(long = "provider", value_name = "KIND", default_values = ["bandwidth"])]
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

const EXIT_CODES: &str = "\
Exit codes:
  0   done: every entry that should be alive is
  1   something unexpected
  2   wrong usage
  3   the manifest, the config or a credential reference is wrong
  4   an entry is without a live URL, blocked ones included; another try may help
  5   another instance holds the lock
  6   halted by the guard
  7   a provider refused the credentials
  10  plan --exit-code: something is due";
