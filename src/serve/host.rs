//! Which requests were meant for us: by the name that they were sent to.
//!
//! A web page can have its own name lead to this machine (DNS rebinding), and then read what is answered here as if it
//! were its own. Its requests tell by the name that they are for.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::Uri;
use axum::http::header::HOST;
use axum::http::uri::Authority;

/// How a request reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// At this address of ours.
    Address(IpAddr),
    /// By a socket in the file system, which no web page can reach.
    Socket,
}

/// Whether a request was meant for us. `hosts` are names in lower case.
pub(super) fn is_meant_for_us(headers: &HeaderMap, uri: &Uri, arrival: Arrival, hosts: &[String]) -> bool {
    let Arrival::Address(address) = arrival else { return true };
    let mut named = headers.get_all(HOST).iter().map(|value| value.to_str().ok()?.parse::<Authority>().ok());
    let (Some(Some(host)), None) = (named.next(), named.next()) else { return false };
    // An absolute address in the request's first line would count more than the header.
    std::iter::once(&host).chain(uri.authority()).all(|authority| is_ours(authority, address, hosts))
}

fn is_ours(authority: &Authority, address: IpAddr, hosts: &[String]) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    let as_address = plain.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    host == "localhost" || as_address == Some(address) || hosts.iter().any(|known| known == plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(hosts_sent: &[&str], uri: &str, at: &str) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts_sent {
            headers.append(HOST, host.parse().unwrap());
        }
        let arrival = Arrival::Address(at.parse().unwrap());
        is_meant_for_us(&headers, &uri.parse().unwrap(), arrival, &["media.example".to_owned()])
    }

    #[test]
    fn only_our_own_names_are_answered() {
        for (host, at, expected) in [
            ("127.0.0.1:9464", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("localhost:9464", "127.0.0.1", true),
            ("LocalHost.", "127.0.0.1", true),
            ("[::1]:9464", "::1", true),
            ("10.0.0.5:9464", "10.0.0.5", true),
            ("media.example", "127.0.0.1", true),
            ("MEDIA.example:443", "127.0.0.1", true),
            ("10.0.0.5:9464", "127.0.0.1", false),
            ("evil.example", "127.0.0.1", false),
            ("evil.example:9464", "127.0.0.1", false),
            ("127.0.0.1.evil.example", "127.0.0.1", false),
            ("localhost.evil.example", "127.0.0.1", false),
            ("sub.media.example", "127.0.0.1", false),
            ("localhost@evil.example", "127.0.0.1", false),
            ("evil@localhost", "127.0.0.1", false),
            ("localhost evil", "127.0.0.1", false),
        ] {
            assert_eq!(meant(&[host], "/", at), expected, "{host} at {at}");
        }
    }

    #[test]
    fn there_is_one_name_and_an_absolute_address_says_the_same() {
        assert!(!meant(&[], "/", "127.0.0.1"));
        assert!(!meant(&[""], "/", "127.0.0.1"));
        assert!(!meant(&["localhost", "evil.example"], "/", "127.0.0.1"));
        assert!(!meant(&["localhost", "localhost"], "/", "127.0.0.1"));
        assert!(meant(&["localhost"], "http://localhost/", "127.0.0.1"));
        assert!(!meant(&["localhost"], "http://evil.example/", "127.0.0.1"));
    }

    #[test]
    fn a_socket_takes_any_name() {
        let uri = Uri::from_static("/");
        assert!(is_meant_for_us(&HeaderMap::new(), &uri, Arrival::Socket, &[]));
    }
}
