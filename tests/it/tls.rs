//! TLS: certificates by name, exchanged while they are served; versions, sessions, stapling, and the
//! admin API over HTTPS.

use super::harness::{Authority, Origin, Pointsman, Reaction, TlsClient, eventually, get};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

mod admin;
mod reload;

/// A listener with these keys in its `tls` table, before an origin.
fn config(origin: &Origin, tls: &str) -> String {
    with_listener(origin, &format!("tls = {{ {tls} }}"))
}

fn with_listener(origin: &Origin, keys: &str) -> String {
    format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n{keys}\n\
         [services.web]\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n",
        origin.address
    )
}

/// All that `openssl s_client` prints of a handshake with these options, and whether it succeeded.
fn s_client(address: SocketAddr, options: &[&str]) -> (String, bool) {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-servername", "one.example"])
        .args(options)
        .stdin(Stdio::null())
        .output()
        .expect("openssl");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let begun = text.contains("Cipher is ") && !text.contains("Cipher is (NONE)");
    (text.into_owned(), begun)
}

#[test]
fn the_certificate_follows_the_name() {
    let (authority, origin) = (Authority::new(), Origin::named("blue"));
    let certificates = [
        ("default", &["one.example", "www.one.example"][..]),
        ("wild", &["*.two.example"]),
        ("api", &["api.two.example"]),
    ]
    .map(|(file, names)| format!("{{ {} }}", authority.write(file, names)));
    let pointsman =
        Pointsman::start(&config(&origin, &format!("certificates = [{}]", certificates.join(", "))));
    let (client, address) = (TlsClient::new(&authority), pointsman.http());
    for (name, file) in [
        ("one.example", "default"),
        ("WWW.one.example", "default"),
        ("a.two.example", "wild"),
        ("b.two.example", "wild"),
        ("api.two.example", "api"),
    ] {
        assert_eq!(client.served(address, name), authority.leaf(file), "{name}");
    }
    let nameless = client.nameless().served(address, "one.example");
    assert_eq!(nameless, authority.leaf("default"), "the first is the default");
    let (unknown, _) = s_client(address, &["-servername", "three.example"]);
    assert!(unknown.contains("CN = one.example"), "{unknown}");
}

#[test]
fn old_versions_and_suites_are_refused() {
    let (authority, origin) = (Authority::new(), Origin::named("blue"));
    let certificates = format!("certificates = [{{ {} }}]", authority.write("one", &["one.example"]));
    let start = |keys: &str| Pointsman::start(&config(&origin, &format!("{certificates}{keys}")));
    let (usual, strict) = (start(""), start(", min_version = \"1.3\""));
    for (options, by_default, with_1_3) in [
        (&["-tls1_3"][..], true, true),
        (&["-tls1_2"], true, false),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], true, false),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], false, false),
        (&["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], false, false),
    ] {
        assert_eq!(s_client(usual.http(), options).1, by_default, "{options:?}");
        assert_eq!(s_client(strict.http(), options).1, with_1_3, "{options:?} with min_version 1.3");
    }
}

#[test]
fn sessions_are_resumed_by_any_worker_without_tickets() {
    let (authority, origin) = (Authority::new(), Origin::named("blue"));
    let certificates = format!("certificates = [{{ {} }}]", authority.write("one", &["one.example"]));
    let start = |keys: &str| Pointsman::start(&config(&origin, &format!("{certificates}{keys}")));
    let (usual, tickets) = (start(""), start(", session_tickets = true"));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for pointsman in [&usual, &tickets] {
            let client = TlsClient::with(&authority, &[version]);
            let mut resumed = 0;
            for _ in 0..20 {
                let mut connection = client.open(pointsman.http(), "one.example").expect("a handshake");
                assert_eq!(connection.0.get("/").status, 200);
                resumed += u64::from(connection.is_resumed());
            }
            println!("{:?}: {resumed} of 20 handshakes resumed", version.version);
            assert_eq!(resumed, 19, "all but the first, over two workers");
        }
    }
    let has_ticket =
        |pointsman: &Pointsman| s_client(pointsman.http(), &["-tls1_2"]).0.contains("TLS session ticket:");
    assert!(!has_ticket(&usual));
    assert!(has_ticket(&tickets));
}

#[test]
fn hsts_is_on_every_answer_over_tls_and_on_none_without() {
    let authority = Authority::new();
    let origin = Origin::new(|request| match request.path() {
        "/moved" => Reaction::RawThenClose(
            b"HTTP/1.1 301 Moved Permanently\r\nLocation: /\r\nStrict-Transport-Security: max-age=1\r\n\
              Content-Length: 0\r\n\r\n"
                .to_vec(),
        ),
        "/broken" => Reaction::Close,
        _ => Reaction::ok("blue"),
    });
    let certificate = authority.write("one", &["one.example"]);
    let keys = format!(
        "hsts = \"max-age=31536000; includeSubDomains\"\ntls = {{ certificates = [{{ {certificate} }}] }}"
    );
    let text =
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[routes]]\nhosts = [\"one.example\"]\nservice = \"web\"\n"
            .to_owned() + &with_listener(&origin, &keys);
    let pointsman = Pointsman::start(&text);
    let [plain, tls] = pointsman.listeners[..] else { panic!("{:?}", pointsman.listeners) };
    let head = |version: &str, host: &str, path: &str| {
        let output = Command::new("curl")
            .args(["-sk", "--max-time", "20", version, "-o", "/dev/null", "-D", "-"])
            .args(["-H", &format!("Host: {host}"), &format!("https://{tls}{path}")])
            .output()
            .expect("curl");
        String::from_utf8_lossy(&output.stdout).to_ascii_lowercase()
    };
    for version in ["--http1.1", "--http2"] {
        for (host, path, status) in [
            ("one.example", "/", 200),
            ("one.example", "/moved", 301),
            ("one.example", "/broken", 502),
            ("two.example", "/", 404),
        ] {
            let head = head(version, host, path);
            assert!(head.lines().next().is_some_and(|line| line.contains(&status.to_string())), "{head}");
            let found: Vec<&str> =
                head.lines().filter(|line| line.starts_with("strict-transport-security:")).collect();
            assert_eq!(
                found,
                ["strict-transport-security: max-age=31536000; includesubdomains"],
                "{version} {path}: {head}"
            );
        }
    }
    for status in [404, 200] {
        let host = if status == 200 { "one.example" } else { "localhost" };
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = super::harness::send(plain, &request);
        assert_eq!((answer.status, answer.header("strict-transport-security")), (status, None));
    }
}

#[test]
fn keys_that_cannot_be_meant_are_told_with_their_places() {
    let (authority, origin) = (Authority::new(), Origin::named("blue"));
    let one = authority.write("one", &["one.example"]);
    authority.write("two", &["two.example"]);
    let mixed = one.replace("one.key", "two.key");
    std::fs::write(authority.path("o.der"), "nothing").expect("a file");
    let ocsp = authority.path("o.der").display().to_string();
    for (keys, expected) in [
        ("hsts = \"max-age=1\"".to_owned(), "hsts: is for listeners with tls"),
        (format!("hsts = \"forever\"\ntls = {{ certificates = [{{ {one} }}] }}"), "has no max-age"),
        (format!("tls = {{ certificates = [{{ {one} }}], min_version = \"1.1\" }}"), "is none of 1.2, 1.3"),
        (format!("tls = {{ certificates = [{{ {one} }}], client_ca = \"no.pem\" }}"), "no.pem: "),
        (format!("tls = {{ certificates = [{{ {mixed} }}] }}"), "two.key"),
        (format!("tls = {{ certificates = [{{ {one}, ocsp = \"{ocsp}\" }}] }}"), "no whole OCSP response"),
    ] {
        let text = "[[routes]]\nservice = \"web\"\n".to_owned() + &with_listener(&origin, &keys);
        std::fs::write(authority.path("p.toml"), text).expect("a file");
        let printed = super::harness::Printed::of(&["check", "--config", "p.toml"], authority.dir.path());
        assert!(printed.code == 1 && printed.err.contains(expected), "{keys}: {}", printed.err);
    }
}

#[test]
fn an_ocsp_response_is_stapled_and_follows_its_file() {
    let (authority, origin) = (Authority::new(), Origin::named("blue"));
    let certificate = authority.write("one", &["one.example"]);
    let path = authority.path("one.der");
    std::fs::write(&path, ocsp_response(&authority, "one")).expect("a file");
    let keys =
        format!("certificates = [{{ {certificate}, ocsp = \"{}\" }}], reload = \"20ms\"", path.display());
    let pointsman = Pointsman::start(&config(&origin, &keys));
    let stapled = || s_client(pointsman.http(), &["-status"]).0;
    let first = stapled();
    assert!(
        first.contains("OCSP Response Status: successful") && first.contains("Cert Status: good"),
        "{first}"
    );
    std::fs::write(&path, "half a respon").expect("a file");
    eventually("the fault is told", || pointsman.log().contains("one.der"));
    assert!(stapled().contains("Cert Status: good"), "the old response stays");
    std::fs::write(authority.path("index.txt"), "").expect("a file");
    std::fs::write(&path, ocsp_response(&authority, "one")).expect("a file");
    eventually("the new response is stapled", || stapled().contains("Cert Status: unknown"));
}

/// What the authority says of a certificate: good, if its index has it.
pub(super) fn ocsp_response(authority: &Authority, file: &str) -> Vec<u8> {
    let openssl = |args: &[&str]| {
        let output = Command::new("openssl").args(args).current_dir(authority.dir.path()).output();
        let output = output.expect("openssl");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let cert = format!("{file}.pem");
    let serial = openssl(&["x509", "-in", &cert, "-noout", "-serial"]);
    let serial = serial.trim().trim_start_matches("serial=");
    if !authority.path("index.txt").exists() {
        let row = format!("V\t491231235959Z\t\t{serial}\tunknown\t/CN=one.example\n");
        std::fs::write(authority.path("index.txt"), row).expect("a file");
    }
    openssl(&["ocsp", "-issuer", "ca.pem", "-cert", &cert, "-no_nonce", "-reqout", "request.der"]);
    openssl(&[
        "ocsp",
        "-index",
        "index.txt",
        "-CA",
        "ca.pem",
        "-rsigner",
        "ca.pem",
        "-rkey",
        "ca.key",
        "-ndays",
        "1",
        "-reqin",
        "request.der",
        "-respout",
        "response.der",
    ]);
    std::fs::read(authority.path("response.der")).expect("a response")
}
