//! Addresses that credentials are sent to.

use url::{Host, Url};

use super::shape::Complaint;

/// Reads the address of an API: https, or http on this machine, and nothing in it that could carry a secret or
/// that would get lost when a path is appended.
pub(super) fn read(text: &str) -> Result<Url, Complaint> {
    let example = "write it as \"https://host/path\"";
    let mut url = Url::parse(text).map_err(|_| Complaint::new("is not a URL").help(example))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Complaint::new("must not hold a user name or password").help(
            "credentials have keys of their own; one that was committed must be changed at the provider",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Complaint::new("must not hold a `?` or `#` part").help(example));
    }
    match (url.scheme(), is_loopback(&url)) {
        ("https", _) | ("http", true) => {}
        ("http", false) => {
            return Err(Complaint::new("must be https: credentials are sent there")
                .help("http is possible on this machine only, as in \"http://127.0.0.1:8480\""));
        }
        _ => return Err(Complaint::new("must begin with https://").help(example)),
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_travel_encrypted_or_stay_on_this_machine() {
        for (good, read_as) in [
            ("https://messaging.bandwidth.com/api/v2", "https://messaging.bandwidth.com/api/v2"),
            ("https://api.example/v1/", "https://api.example/v1"),
            ("https://api.example", "https://api.example/"),
            ("http://127.0.0.1:8480/v1//", "http://127.0.0.1:8480/v1"),
            ("http://localhost:8480", "http://localhost:8480/"),
            ("http://[::1]:8480", "http://[::1]:8480/"),
        ] {
            assert_eq!(read(good).unwrap().as_str(), read_as);
        }
        for bad in [
            "http://api.example",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "api.example/v1",
            "https://user@api.example",
            "https://user:word@api.example",
            "https://api.example?key=1",
            "https://api.example/#x",
            "https://",
            "",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
