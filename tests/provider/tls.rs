//! Certificates and handshakes, good and bad, with authorities made up for the test. What is bad is named as what it
//! is, and not a byte of a request goes to it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mediakeep::domain::failure::FailureClass;
use mediakeep::provider::http::{HttpClient, Limits};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use crate::fakes::bandwidth;
use crate::trouble::in_child;
use crate::wire::upload;

/// An authority: its certificate, and what it signs with.
struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl Authority {
    fn root(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(name);
        Self { certificate: params.self_signed(&key).unwrap(), issuer: Issuer::new(params, key) }
    }

    /// An authority that this one vouches for.
    fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(name);
        Self { certificate: params.signed_by(&key, &self.issuer).unwrap(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for this machine, changed as a case needs it.
    fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = leaf_params(change);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { chain: vec![certificate.der().clone()], key }
    }
}

fn leaf_params(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "a server");
    change(&mut params);
    params
}

/// What a server shows, and the key to it.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Identity {
    fn self_signed() -> Self {
        let key = KeyPair::generate().unwrap();
        Self { chain: vec![leaf_params(|_| ()).self_signed(&key).unwrap().der().clone()], key }
    }

    /// As `openssl req -x509` makes them.
    fn self_signed_authority() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = leaf_params(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        Self { chain: vec![params.self_signed(&key).unwrap().der().clone()], key }
    }

    fn with(mut self, authority: &Authority) -> Self {
        self.chain.push(authority.certificate.der().clone());
        self
    }
}

/// A server, and how many bytes of a request came through to it.
struct Listening {
    port: u16,
    bytes: Arc<AtomicUsize>,
}

/// Accepts connections in threads that end with the process; `serve` says how many bytes it was sent.
fn listen(serve: impl Fn(TcpStream) -> usize + Clone + Send + 'static) -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let bytes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&bytes);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (serve, counted) = (serve.clone(), Arc::clone(&counted));
            std::thread::spawn(move || counted.fetch_add(serve(stream.unwrap()), Ordering::SeqCst));
        }
    });
    Listening { port, bytes }
}

/// A server that speaks TLS and accepts every upload.
fn tls(identity: Identity, versions: &[&'static SupportedProtocolVersion]) -> Listening {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain, key)
        .unwrap();
    let config = Arc::new(config);
    listen(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        let mut request = Vec::new();
        let mut some = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut some) {
            request.extend_from_slice(&some[..count]);
            if request.ends_with(crate::wire::PNG) {
                let _ended = stream.write_all(b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n");
                stream.conn.send_close_notify();
                let _ended = stream.flush();
                break;
            }
        }
        request.len()
    })
}

/// A server that knows no TLS: it reads something, says this, and waits until the other side has gone. Only what is
/// no TLS is counted.
fn raw(says: &'static [u8]) -> Listening {
    listen(move |mut stream| {
        let mut some = vec![0; 65536];
        let count = stream.read(&mut some).unwrap_or_default();
        let is_tls = some[..count].starts_with(&[22, 3]);
        let _gone = stream.write_all(says);
        let mut rest = Vec::new();
        let _gone = stream.read_to_end(&mut rest);
        let told = rest.windows(4).filter(|window| *window == b"HTTP" || *window == b"PUT ").count();
        told + if is_tls { 0 } else { count }
    })
}

/// Every bad case: what serves it, the host to call it by, and words that must be in the failure.
fn bad_cases(known: &Authority) -> Vec<(&'static str, Listening, &'static str, &'static str)> {
    let unknown = Authority::root("an authority that nobody knows");
    let between = known.below("an authority in between");
    let expired = known.below("an authority that has expired");
    let all = rustls::ALL_VERSIONS;
    let local = "127.0.0.1";
    let good = |_: &mut CertificateParams| ();
    let old = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let young = |params: &mut CertificateParams| params.not_before = date_time_ymd(2900, 1, 1);
    let others = |params: &mut CertificateParams| {
        *params = CertificateParams::new(["media.example".to_owned()]).unwrap();
    };
    let for_clients = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    vec![
        ("unknown authority", tls(unknown.leaf(good), all), local, "from no known authority"),
        ("expired", tls(known.leaf(old), all), local, "has expired"),
        ("expired behind an authority", tls(expired.leaf(old).with(&expired), all), local, "has expired"),
        ("not yet valid", tls(known.leaf(young), all), local, "not valid yet"),
        ("another name", tls(known.leaf(others), all), local, "is for another name"),
        ("another name by name", tls(known.leaf(others), all), "localhost", "is for another name"),
        ("self-signed", tls(Identity::self_signed(), all), local, "from no known authority"),
        ("an authority as a server", tls(Identity::self_signed_authority(), all), local, "can't be used"),
        ("missing link", tls(between.leaf(good), all), local, "from no known authority"),
        ("not for servers", tls(known.leaf(for_clients), all), local, "can't be used"),
        ("plaintext", raw(b"HTTP/1.1 400 no TLS here\r\n\r\n"), local, "does not speak TLS"),
        (
            "hangs up",
            listen(|mut stream| stream.read(&mut [0; 100]).map_or(0, |_| 0)),
            local,
            "cannot reach Bandwidth: ",
        ),
        // An alert: protocol_version, as servers send it that know nothing later than TLS 1.1.
        ("TLS 1.1 only", raw(&[21, 3, 2, 0, 2, 2, 70]), local, "TLS 1.2"),
        ("stalled handshake", raw(b""), local, "no connection within the time limit"),
    ]
}

fn trust(authority: &Authority) {
    let path = PathBuf::from(std::env::var_os("SSL_CERT_FILE").unwrap());
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(authority.certificate.pem().as_bytes()).unwrap();
}

/// Runs a test of this file where `SSL_CERT_FILE` names a file of its own.
fn with_private_authority(test: &str, work: impl AsyncFnOnce()) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("ca.pem");
    in_child(test, &[("SSL_CERT_FILE", file.to_str().unwrap())], work);
}

#[test]
fn a_bad_certificate_or_handshake_is_named_and_gets_no_request() {
    let name = "tls::a_bad_certificate_or_handshake_is_named_and_gets_no_request";
    with_private_authority(name, meet_bad_servers);
}

async fn meet_bad_servers() {
    let known = Authority::root("a private authority");
    trust(&known);
    let patient = HttpClient::new();
    let impatient =
        HttpClient::with_limits(Limits { connect: Duration::from_millis(500), ..Limits::default() });
    for (case, server, host, words) in bad_cases(&known) {
        let http = if case == "stalled handshake" { &impatient } else { &patient };
        let provider = bandwidth(&format!("https://{host}:{}", server.port), http, "PASSWORD");
        let failure = provider.upload(upload(Some("logo.png"), "logo.png", "image/png")).await.unwrap_err();
        assert_eq!((failure.class, failure.status), (FailureClass::Unreachable, None), "{case}: {failure}");
        assert!(failure.detail.contains(words), "{case}: {failure}");
        assert_eq!(server.bytes.load(Ordering::SeqCst), 0, "{case}: bytes of a request arrived");
    }
    // A name that no resolver is asked for: what cannot be resolved is named as such, with TLS or without.
    let provider = bandwidth("http://no..such.localhost:1", &patient, "PASSWORD");
    let failure = provider.upload(upload(Some("logo.png"), "logo.png", "image/png")).await.unwrap_err();
    assert_eq!((failure.class, failure.status), (FailureClass::Unreachable, None), "{failure}");
    assert!(failure.detail.contains("its name can't be resolved"), "{failure}");
}

#[test]
fn a_private_authority_is_trusted_by_ssl_cert_file() {
    with_private_authority("tls::a_private_authority_is_trusted_by_ssl_cert_file", meet_good_servers);
}

async fn meet_good_servers() {
    let known = Authority::root("a private authority");
    trust(&known);
    let between = known.below("an authority in between");
    let good = |_: &mut CertificateParams| ();
    let cases = [
        ("a certificate of its own", tls(known.leaf(good), rustls::ALL_VERSIONS), "127.0.0.1"),
        ("by name", tls(known.leaf(good), rustls::ALL_VERSIONS), "localhost"),
        ("a chain", tls(between.leaf(good).with(&between), rustls::ALL_VERSIONS), "127.0.0.1"),
        ("TLS 1.2", tls(known.leaf(good), &[&rustls::version::TLS12]), "127.0.0.1"),
        ("TLS 1.3", tls(known.leaf(good), &[&rustls::version::TLS13]), "127.0.0.1"),
    ];
    for (case, server, host) in cases {
        let provider = bandwidth(&format!("https://{host}:{}", server.port), &HttpClient::new(), "PASSWORD");
        let receipt = provider.upload(upload(Some("logo.png"), "logo.png", "image/png")).await;
        let receipt = receipt.unwrap_or_else(|failure| panic!("{case}: {failure}"));
        assert!(receipt.url.starts_with(&format!("https://{host}:{}/", server.port)), "{case}: {receipt:?}");
    }
}
