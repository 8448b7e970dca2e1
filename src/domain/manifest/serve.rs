//! The `[serve]` table: where health, metrics and the page for people are to be had.

// Addresses as values only: nothing here opens a socket.
use core::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::keys::SERVE;
use super::location::resolve;
use super::problem::{Draft, Problems, SourceName, Span, quoted};
use super::shape::{Complaint, plain_path};
use super::table::{At, Fields};

/// The `[serve]` table, with its paths resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// Where to listen.
    pub listen: Listen,
    /// Names that it may be called by, in lower case and without a port, besides `localhost` and the address.
    pub hosts: Vec<String>,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// At this address.
    Tcp(SocketAddr),
    /// At this socket in the file system, absolute.
    Unix(PathBuf),
}

impl std::fmt::Display for Listen {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(out, "{address}"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

/// Where to listen, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'t> {
    Tcp(SocketAddr),
    Unix(&'t str),
}

/// The longest path of a socket, in bytes: what Linux has room for in an address (108), less the zero at its end and
/// what is put behind the name until the socket is ready.
const SOCKET_PATH_MAX: usize = 103;

/// Reads `listen`.
pub(super) fn place(text: &str) -> Result<Place<'_>, Complaint> {
    let example = "write it as \"127.0.0.1:9464\", \"[::1]:9464\" or \"unix:/run/mediakeep/http.sock\"";
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            "" => Err(Complaint::new("has no path after `unix:`").help(example)),
            _ => plain_path(path, "must hold a plain path").map(Place::Unix),
        };
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        let complaint = Complaint::new("must hold an address, not a name");
        return Err(complaint.replacement(format!("\"127.0.0.1:{port}\"")));
    }
    text.parse().map(Place::Tcp).map_err(|_| Complaint::new("is no address with a port").help(example))
}

/// The table's options; `None` where one of them is refused, which is a problem then.
pub(super) fn read<'t>(
    table: &(&'t DeTable<'t>, Span),
    source: SourceName,
    folder: &Path,
    root: &Path,
    problems: &mut Problems,
) -> Option<ServeOptions> {
    let fields = Fields::of(&SERVE, table, source, problems);
    let hosts = fields.texts("hosts").iter().filter_map(|name| host(name, problems)).collect();
    let At { value, place } = fields.listen("listen")?;
    let refuse = |message: &str, help: &str| Draft::error(message).at(&place, "").help(help);
    let listen = match value {
        Place::Tcp(address) => {
            if !address.ip().is_loopback() {
                let draft =
                    Draft::note("whoever reaches this address sees the names of files and their URLs");
                problems.add(draft.at(&place, "").help(
                    "nothing is encrypted and nobody is asked for a password there: listen on 127.0.0.1 or a \
                     unix: socket, unless a firewall decides who reaches it",
                ));
            }
            Listen::Tcp(address)
        }
        Place::Unix(path) => {
            let path = resolve(folder, Path::new(path));
            if path.as_os_str().len() > SOCKET_PATH_MAX {
                let message = format!("the path of a socket has at most {SOCKET_PATH_MAX} bytes");
                problems
                    .add(refuse(&message, "write a shorter one, such as \"unix:/run/mediakeep/http.sock\""));
                return None;
            }
            if path.starts_with(root) {
                problems.add(refuse(
                    "a socket can't be in the watched folder",
                    "put it into a folder of its own, such as /run/mediakeep",
                ));
                return None;
            }
            Listen::Unix(path)
        }
    };
    Some(ServeOptions { listen, hosts })
}

/// A name as it can stand in a Host header, without a port.
fn host(name: &At<&str>, problems: &mut Problems) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_address = name.value.parse::<core::net::IpAddr>().is_ok();
    if is_address || (name.value.len() <= 253 && name.value.bytes().all(plain)) {
        return Some(name.value.trim_end_matches('.').to_ascii_lowercase());
    }
    let draft = Draft::error(format!("{} in `hosts` is no name of a host", quoted(name.value)));
    problems.add(
        draft
            .at(&name.place, "")
            .help("write the name or address alone, without a scheme, a port, a path or `*`"),
    );
    None
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{read as read_alone, read_both};
    use super::super::{Parsed, Severity};
    use super::*;

    fn with(serve: &str) -> Parsed {
        read_both(
            "version = 1\n",
            &format!("version = 1\n[sync]\nstate_dir = \"/var/lib/x\"\n[serve]\n{serve}"),
        )
    }

    fn served(serve: &str) -> ServeOptions {
        let parsed = with(serve);
        let problems = parsed.problems;
        parsed.manifest.unwrap_or_else(|| panic!("{problems:?}")).serve.unwrap()
    }

    #[test]
    fn addresses_and_sockets_are_read() {
        for (text, listen) in [
            ("127.0.0.1:9464", "127.0.0.1:9464"),
            ("[::1]:0", "[::1]:0"),
            ("unix:/run/mediakeep/http.sock", "unix:/run/mediakeep/http.sock"),
            ("unix:http.sock", "unix:/etc/mediakeep/http.sock"),
        ] {
            assert_eq!(served(&format!("listen = \"{text}\"")).listen.to_string(), listen);
        }
        let options = served("listen = \"127.0.0.1:1\"\nhosts = [\"Media.Example.\", \"10.0.0.7\", \"::1\"]");
        assert_eq!(options.hosts, ["media.example", "10.0.0.7", "::1"]);
        assert!(with("listen = \"127.0.0.1:1\"").problems.is_empty());
        let open = with("listen = \"0.0.0.0:9464\"").problems;
        assert_eq!(open.iter().map(|problem| problem.severity).collect::<Vec<_>>(), [Severity::Note]);
    }

    #[test]
    fn what_is_neither_is_refused() {
        for serve in [
            "",
            "listen = \"\"",
            "listen = 9464",
            "listen = \"9464\"",
            "listen = \":9464\"",
            "listen = \"127.0.0.1\"",
            "listen = \"127.0.0.1:99999\"",
            "listen = \"localhost:9464\"",
            "listen = \"http://127.0.0.1:9464\"",
            "listen = \"unix:\"",
            "listen = \"unix:~/http.sock\"",
            "listen = \"unix:/srv/media/http.sock\"",
            "listen = \"127.0.0.1:1\"\nhosts = \"one\"",
            "listen = \"127.0.0.1:1\"\nhosts = [\"*\"]",
            "listen = \"127.0.0.1:1\"\nhosts = [\"a:80\"]",
            "listen = \"127.0.0.1:1\"\nhosts = [\"http://a\"]",
            "listen = \"127.0.0.1:1\"\nport = 1",
        ] {
            assert_eq!(with(serve).errors(), 1, "{serve}: {:?}", with(serve).problems);
        }
        let long = format!("listen = \"unix:/{}\"", "x".repeat(200));
        assert_eq!(with(&long).errors(), 1);
    }

    #[test]
    fn a_manifest_never_opens_a_socket() {
        let table = "[serve]\nlisten = \"127.0.0.1:1\"\n";
        let alone = read_alone(&format!("version = 1\n{table}"));
        let beside = read_both(&format!("version = 1\n{table}"), "version = 1\n");
        for parsed in [alone, beside] {
            assert!(parsed.manifest.is_none());
            assert_eq!(parsed.problems[0].message, "[serve] can't stand in the manifest");
        }
    }
}
