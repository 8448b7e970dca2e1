//! `mediakeep completions` and `mediakeep man`: made from the definitions of the arguments.

use std::fmt::Write as _;

use clap::Arg;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::args::{self, ABOUT, EXIT_CODES};
use super::exit::Exit;
use super::voice::print;

pub(super) fn completions(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "mediakeep", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// One page for everything, so that nobody has to look for the page of a command.
pub(super) fn man() -> Exit {
    let command = args::command();
    let version = concat!("mediakeep ", env!("CARGO_PKG_VERSION"));
    let mut page = Roff::new();
    page.control("TH", ["MEDIAKEEP", "1", "", version, "User Commands"]);
    let mut about = ABOUT.split("\n\n");
    let first = about.next().unwrap_or_default().trim_end_matches('.');
    page.control("SH", ["NAME"]).text([roman(format!("mediakeep - {first}"))]);
    page.control("SH", ["SYNOPSIS"]);
    page.text([
        bold("mediakeep"),
        roman(" ["),
        italic("OPTIONS"),
        roman("] "),
        italic("COMMAND"),
        roman(" ..."),
    ]);
    page.control("SH", ["DESCRIPTION"]);
    about.for_each(|paragraph| paragraphs(&mut page, paragraph));
    page.control("SH", ["COMMANDS"]);
    for sub in command.get_subcommands() {
        let own: Vec<&Arg> =
            sub.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set()).collect();
        page.control("SS", [heading(sub.get_name(), &own).as_str()]);
        paragraphs(&mut page, &format!("{}.", sub.get_about().map(ToString::to_string).unwrap_or_default()));
        for arg in own {
            option(&mut page, arg);
        }
        if let Some(more) = sub.get_after_help() {
            page.control("PP", []);
            paragraphs(&mut page, &more.to_string());
        }
    }
    page.control("SH", ["OPTIONS"]);
    command.get_arguments().for_each(|arg| option(&mut page, arg));
    listed(&mut page, "EXIT STATUS", &EXIT_CODES.map(|(code, meaning)| (code.to_string(), meaning)));
    listed(&mut page, "ENVIRONMENT", &VARIABLES.map(|(name, meaning)| (name.to_owned(), meaning)));
    listed(&mut page, "FILES", &FILES.map(|(path, meaning)| (path.to_owned(), meaning)));
    print(&page.render())
}

fn heading(name: &str, own: &[&Arg]) -> String {
    let mut text = format!("mediakeep {name}");
    for arg in own {
        let term: String = term(arg).into_iter().map(|(text, _)| text).collect();
        let (open, close) = if arg.is_required_set() { ("", "") } else { ("[", "]") };
        let _ = write!(text, " {open}{term}{close}");
    }
    text
}

/// How an argument is typed; texts that are to be typed as they are, and those that stand for something.
fn term(arg: &Arg) -> Vec<(String, bool)> {
    let mut term = Vec::new();
    let names = arg.get_short().map(|short| format!("-{short}"));
    let names = names.into_iter().chain(arg.get_long().map(|long| format!("--{long}")));
    let names = names.collect::<Vec<_>>().join(", ");
    if !names.is_empty() {
        term.push((names, true));
    }
    if arg.is_positional() || arg.get_action().takes_values() {
        let blank = if term.is_empty() { "" } else { " " };
        let value = arg
            .get_value_names()
            .into_iter()
            .flatten()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ");
        term.push((format!("{blank}{value}"), false));
    }
    term
}

fn option(page: &mut Roff, arg: &Arg) {
    page.control("TP", []);
    let inlines = |(text, typed): (String, bool)| if typed { bold(text) } else { italic(text) };
    page.text(term(arg).into_iter().map(inlines).collect::<Vec<Inline>>());
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !values.is_empty() && arg.get_action().takes_values() {
        let _ = write!(help, "; one of {}", values.join(", "));
    }
    let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !default.is_empty() && arg.get_action().takes_values() {
        let _ = write!(help, "; {} by default", default.join(" "));
    }
    page.text([roman(format!("{help}."))]);
}

fn listed(page: &mut Roff, title: &str, list: &[(String, &str)]) {
    page.control("SH", [title]);
    for (name, meaning) in list {
        page.control("TP", []).text([bold(name.as_str())]).text([roman(format!("{meaning}."))]);
    }
}

/// Prose, and lines that begin with blanks as they are.
fn paragraphs(page: &mut Roff, text: &str) {
    for (number, paragraph) in text.split("\n\n").enumerate() {
        if number > 0 {
            page.control("PP", []);
        }
        let mut verbatim = false;
        for line in paragraph.lines() {
            if line.starts_with(' ') != verbatim {
                verbatim = !verbatim;
                page.control(if verbatim { "nf" } else { "fi" }, []);
            }
            page.text([roman(line)]);
        }
        if verbatim {
            page.control("fi", []);
        }
    }
}

const VARIABLES: [(&str, &str); 4] = [
    ("MEDIAKEEP_MANIFEST", "where the manifest is, unless --manifest says so"),
    ("MEDIAKEEP_CONFIG", "where the config is, unless --config says so"),
    ("STATE_DIRECTORY", "the state folder, unless state_dir in [sync] names one; systemd sets it"),
    ("CREDENTIALS_DIRECTORY", "where { credential = \"NAME\" } is looked up; systemd sets it"),
];

const FILES: [(&str, &str); 3] = [
    ("media.toml", "the manifest"),
    (
        ".mediakeep/state.json",
        "the state file, with the URLs, unless state_dir or $STATE_DIRECTORY names another folder",
    ),
    ("/etc/mediakeep/mediakeep.toml", "the config of the service"),
];
