//! Every key of manifest and config: the one table that the reader, the schema, the reference and the suggestions
//! share.

use std::time::Duration;

use super::shape::Shape;
use crate::domain::kind::{Kind, SettingSpec};

/// A table of the manifest.
#[derive(Debug)]
pub(super) struct Section {
    /// The name of its table; empty for the top of the file.
    pub(super) name: &'static str,
    /// How the table is written.
    pub(super) form: Form,
    /// What it is, in a sentence fragment.
    pub(super) about: &'static str,
    /// Its keys, in the order in which people should meet them.
    pub(super) keys: &'static [Key],
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// No header: the keys before the first one.
    Top,
    /// `[name]`
    Table,
    /// `[name.NAME]`, any number of them.
    NamedTables,
    /// `[[name]]`, any number of them.
    Array,
}

impl Section {
    /// How a person would write its header.
    pub(super) fn header(&self) -> String {
        match self.form {
            Form::Top => "the top of the file".to_owned(),
            Form::Table => format!("[{}]", self.name),
            Form::NamedTables => format!("[{}.NAME]", self.name),
            Form::Array => format!("[[{}]]", self.name),
        }
    }
}

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// What its value looks like.
    pub(super) shape: Shape,
    /// What it is, in a sentence fragment.
    pub(super) about: &'static str,
    /// What counts where it is absent.
    pub(super) absent: Absent,
    /// Whether its value may stand in a diagnostic: only what is plain by nature and useful to see.
    pub(super) shown: bool,
}

/// What counts where a key is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// It must be there.
    Refused,
    /// This value, in TOML.
    Value(&'static str),
    /// What the words say.
    Words(&'static str),
}

/// The keys of a reference: exactly one of them says where a value is to be found.
pub(super) const REFERENCES: [&str; 3] = ["env", "credential", "file"];

/// Tables that only the config may hold, always, and what whoever may edit the media would be able to do by them.
pub(super) const CONFIG_ONLY: [(&str, &str); 2] = [("serve", "open a socket"), ("hook", "run a command")];

/// Every table, in the order in which people should meet them.
pub(super) static SECTIONS: [&Section; 7] = [&TOP, &SYNC, &PROVIDER, &SERVE, &HOOK, &MEDIA, &EXPORT];

/// The table of this name, except for the top of the file.
pub(super) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.into_iter().find(|section| section.form != Form::Top && section.name == name)
}

/// The table that has a key of this name.
pub(super) fn home_of(key: &str) -> Option<&'static Section> {
    SECTIONS.into_iter().find(|section| section.keys.iter().any(|known| known.name == key))
}

pub(super) static TOP: Section = Section {
    name: "",
    form: Form::Top,
    about: "before the first table",
    keys: &[Key {
        name: "version",
        shape: Shape::Version,
        about: "the version of this format",
        absent: Absent::Refused,
        shown: true,
    }],
};

pub(super) static SYNC: Section = Section {
    name: "sync",
    form: Form::Table,
    about: "where things are and how the folder is watched; in the config where there is one",
    keys: &[
        Key {
            name: "root",
            shape: Shape::Folder,
            about: "the watched folder; a relative path starts at the file that states it; changes by restart only",
            absent: Absent::Words("the manifest's folder"),
            shown: true,
        },
        Key {
            name: "state_dir",
            shape: Shape::Folder,
            about: "where the state lives; a relative path starts at the file that states it; changes by restart only",
            absent: Absent::Words("`$STATE_DIRECTORY`, else `.mediakeep` beside the manifest"),
            shown: true,
        },
        Key {
            name: "settle",
            shape: Shape::Length { at_least: Duration::ZERO },
            about: "quiet time after the last write before a file is read; may be zero",
            absent: Absent::Value("\"2s\""),
            shown: true,
        },
        Key {
            name: "rescan",
            shape: Shape::Length { at_least: Duration::from_secs(1) },
            about: "time between two walks through the whole folder, whatever the watcher said",
            absent: Absent::Value("\"15m\""),
            shown: true,
        },
        Key {
            name: "keep_copies",
            shape: Shape::Flag,
            about: "keep the published bytes, so that a lost folder does not end the URLs",
            absent: Absent::Value("true"),
            shown: true,
        },
    ],
};

/// The shortest life that a manifest may ask for: below it, there is no time to renew.
pub(super) const RETENTION_MIN: Duration = Duration::from_secs(10);

pub(super) static PROVIDER: Section = Section {
    name: "provider",
    form: Form::NamedTables,
    about: "an account; NAME is what `to` calls it; in the config where there is one",
    keys: &[
        Key {
            name: "kind",
            shape: Shape::Text,
            about: "which provider it is",
            absent: Absent::Refused,
            shown: true,
        },
        Key {
            name: "base_url",
            shape: Shape::Address,
            about: "where its API is; https, or http on this machine",
            absent: Absent::Words("the provider's own"),
            shown: false,
        },
        Key {
            name: "token_url",
            shape: Shape::Address,
            about: "where OAuth2 tokens come from; goes together with `base_url`",
            absent: Absent::Words("the provider's own"),
            shown: false,
        },
        Key {
            name: "retention",
            shape: Shape::Length { at_least: RETENTION_MIN },
            about: "how long a media lives after its upload; may only shorten what the provider documents",
            absent: Absent::Words("what the provider documents"),
            shown: true,
        },
        Key {
            name: "margin",
            shape: Shape::Length { at_least: Duration::from_millis(1) },
            about: "how long before its end a media is renewed; counts between an eighth and a half of its life",
            absent: Absent::Words("a half of `retention`, a third from 10 days on"),
            shown: true,
        },
        Key {
            name: "concurrency",
            shape: Shape::Count { from: 1, to: 64 },
            about: "uploads at once",
            absent: Absent::Value("4"),
            shown: true,
        },
        Key {
            name: "rate",
            shape: Shape::Rate,
            about: "requests per second (`s`), minute (`m`) or hour (`h`)",
            absent: Absent::Value("\"10/s\""),
            shown: true,
        },
        Key {
            name: "verify",
            shape: Shape::Length { at_least: Duration::ZERO },
            about: "time between two looks at whether the provider still holds what was published; zero: never",
            absent: Absent::Value("\"1h\""),
            shown: true,
        },
    ],
};

/// Only a config may have it: whoever may edit the media must not be able to open a socket.
pub(super) static SERVE: Section = Section {
    name: "serve",
    form: Form::Table,
    about: "health, metrics and a page for people over HTTP; in the config only, never in the manifest",
    keys: &[
        Key {
            name: "listen",
            shape: Shape::Listen,
            about: "where `run` answers: an address with its port, or `unix:` and the path of a socket",
            absent: Absent::Refused,
            shown: true,
        },
        Key {
            name: "hosts",
            shape: Shape::Texts { single: false },
            about: "names that it may be called by, besides `localhost` and the address that it listens on",
            absent: Absent::Value("[]"),
            shown: true,
        },
    ],
};

/// The longest time that a run of a hook may be given.
pub(super) const HOOK_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// Only a config may have it: whoever may edit the media must not be able to run a command.
pub(super) static HOOK: Section = Section {
    name: "hook",
    form: Form::Table,
    about: "who is told by `run` when it matters; in the config only, never in the manifest",
    keys: &[
        Key {
            name: "timeout",
            shape: Shape::Length { at_least: Duration::from_secs(1) },
            about: "how long one run may take, 10 minutes at most; then it is killed",
            absent: Absent::Value("\"30s\""),
            shown: true,
        },
        hook_key("on_change", "told of each published URL that changed, began or ended"),
        hook_key(
            "on_risk",
            "told of URLs in danger or dead, a halt by the guard, a folder that cannot be used",
        ),
        hook_key(
            "on_failure",
            "told of what fails and goes on failing: an entry, an account, a manifest or config that cannot be used",
        ),
        hook_key("on_recover", "told when such a risk or failure is over"),
    ],
};

const fn hook_key(name: &'static str, about: &'static str) -> Key {
    Key { name, shape: Shape::Hooks, about, absent: Absent::Words("nobody"), shown: false }
}

pub(super) static MEDIA: Section = Section {
    name: "media",
    form: Form::Array,
    about: "which files must exist where",
    keys: &[
        Key {
            name: "file",
            shape: Shape::Text,
            about: "one file, relative to root, with `/` on every system",
            absent: Absent::Words("`file` or `files` must be there"),
            shown: true,
        },
        Key {
            name: "files",
            shape: Shape::Text,
            about: "a glob: every file that it matches; wildcards do not match names that start with a dot",
            absent: Absent::Words("`file` or `files` must be there"),
            shown: true,
        },
        Key {
            name: "exclude",
            shape: Shape::Texts { single: false },
            about: "globs of files that `files` leaves out",
            absent: Absent::Value("[]"),
            shown: true,
        },
        Key {
            name: "to",
            shape: Shape::Texts { single: true },
            about: "the providers where they must exist",
            absent: Absent::Refused,
            shown: true,
        },
        Key {
            name: "id",
            shape: Shape::Text,
            about: "the media's name at the provider, where we name media; made of text and {path} {dir} {name} \
                    {stem} {ext} {hash8} {hash16} {hash}",
            absent: Absent::Value("\"{dir}/{stem}-{hash8}.{ext}\""),
            shown: true,
        },
        Key {
            name: "content_type",
            shape: Shape::Text,
            about: "the media type; sent by the name that the provider has for it",
            absent: Absent::Words("from the file's extension"),
            shown: true,
        },
        Key {
            name: "cache_control",
            shape: Shape::Text,
            about: "the Cache-Control that is stored with the media, where the provider stores one",
            absent: Absent::Words("none"),
            shown: true,
        },
    ],
};

/// The values of `format`.
pub(super) const FORMATS: [&str; 3] = ["json", "env", "toml"];

pub(super) static EXPORT: Section = Section {
    name: "export",
    form: Form::Array,
    about: "the URLs in another file, written again only when they change",
    keys: &[
        Key {
            name: "path",
            shape: Shape::Text,
            about: "the file, relative to root",
            absent: Absent::Refused,
            shown: true,
        },
        Key {
            name: "format",
            shape: Shape::Choice(&FORMATS),
            about: "its shape",
            absent: Absent::Refused,
            shown: true,
        },
    ],
};

/// The keys of a table of this kind: first which kind it is, then its own, then those of every provider's table.
pub(super) fn provider_keys(kind: &'static Kind) -> Vec<Key> {
    let (first, rest) = PROVIDER.keys.split_at(1);
    let common = rest.iter().filter(|key| key.name != "token_url" || kind.token_url.is_some());
    first.iter().copied().chain(kind.settings.iter().map(setting_key)).chain(common.copied()).collect()
}

const fn setting_key(setting: &'static SettingSpec) -> Key {
    Key {
        name: setting.name,
        shape: Shape::Setting { secret: setting.secret },
        about: setting.about,
        absent: if setting.required { Absent::Refused } else { Absent::Words("none") },
        shown: false,
    }
}
