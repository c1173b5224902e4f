//! The admin API over HTTPS, and who gets in.

use super::*;
use crate::harness::Printed;

/// What a client command prints against `https://localhost`, with these arguments of its own.
fn cli(pointsman: &Pointsman, args: &[&str]) -> Printed {
    let url = format!("https://localhost:{}", pointsman.admin.port());
    Printed::of(&[&["--admin", &url], args].concat(), pointsman.dir.path())
}

#[test]
fn https_with_a_token_and_a_known_authority() {
    let (authority, origin) = (Authority::new(), Origin::named("blue"));
    let certificate = authority.write("admin", &["localhost"]);
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let admin = format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\ntls = {{ certificates = [{{ {certificate} }}], reload = \"10ms\" }}\n\
         tokens = [{{ name = \"ci\", role = \"deploy\", sha256 = \"{hash}\" }}]\n"
    );
    let pointsman = Pointsman::start(&(admin + &with_listener(&origin, "")));
    let ca = authority.ca();
    let printed = cli(&pointsman, &["--ca", &ca, "--token", "test", "status"]);
    assert_eq!(printed.code, 0, "{}", printed.err);
    let stranger = cli(&pointsman, &["--token", "test", "status"]);
    assert!(stranger.code == 1 && stranger.err.contains("--ca or POINTSMAN_CA"), "{}", stranger.err);
    let tokenless = cli(&pointsman, &["--ca", &ca, "status"]);
    assert!(tokenless.code == 1 && tokenless.err.contains("--token"), "{}", tokenless.err);
    let no_file = cli(&pointsman, &["--ca", "no.pem", "status"]);
    assert!(no_file.code == 1 && no_file.err.contains("no.pem"), "{}", no_file.err);
    assert_eq!(get(pointsman.admin, "/healthz").status, 0, "no plain HTTP beside it");
    authority.write("admin", &["localhost"]);
    let client = TlsClient::new(&authority);
    eventually("the renewed certificate is served", || {
        client.served(pointsman.admin, "localhost") == authority.leaf("admin")
    });
}

#[test]
fn with_an_authority_for_clients_only_they_get_in() {
    let (authority, others, origin) = (Authority::new(), Authority::new(), Origin::named("blue"));
    let certificate = authority.write("admin", &["localhost"]);
    authority.write("alice", &["alice"]);
    others.write("mallory", &["mallory"]);
    let (ca, file) = (authority.ca(), |name: &str| authority.path(name).display().to_string());
    let other = |name: &str| others.path(name).display().to_string();
    let admin = format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\ntls = {{ certificates = [{{ {certificate} }}], client_ca = \"{ca}\" }}\n"
    );
    let green = "[services.web.pools.green]\nupstreams = [\"127.0.0.1:1\"]\n";
    let text = admin + &with_listener(&origin, "") + green;
    let pointsman =
        Pointsman::start(&text.replace("[services.web]\n", "[services.web]\nstable = \"blue\"\n"));
    let alice = [&*file("alice.pem"), &file("alice.key")].map(str::to_owned);
    let with_alice = |args: &[&str]| {
        cli(&pointsman, &[&["--ca", &ca, "--cert", &alice[0], "--key", &alice[1]], args].concat())
    };
    let printed = with_alice(&["weights", "web", "blue=90", "green=10"]);
    assert_eq!(printed.code, 0, "{}", printed.err);
    let history = with_alice(&["history", "web"]);
    assert!(history.out.contains("alice"), "who did it: {}", history.out);
    let nobody = cli(&pointsman, &["--ca", &ca, "status"]);
    assert!(nobody.code == 1 && nobody.err.contains("--cert and --key"), "{}", nobody.err);
    let (cert, key) = (other("mallory.pem"), other("mallory.key"));
    let mallory = cli(&pointsman, &["--ca", &ca, "--cert", &cert, "--key", &key, "status"]);
    assert_eq!(mallory.code, 1, "{}", mallory.out);
    eventually("refusals are in the log", || pointsman.log().matches("refused a TLS handshake").count() >= 2);
    // A name other than loopback's is no rebinding where the client has shown a certificate.
    let named = Command::new("curl")
        .args(["-s", "--max-time", "20", "--cacert", &ca, "--cert", &alice[0], "--key", &alice[1]])
        .args(["-H", "Host: admin.example", "-o", "/dev/null", "-w", "%{http_code}"])
        .arg(format!("https://localhost:{}/v1/services", pointsman.admin.port()))
        .output()
        .expect("curl");
    assert_eq!(String::from_utf8_lossy(&named.stdout), "200");
}

#[test]
fn off_loopback_it_takes_a_token_or_an_authority_and_no_public_route_leads_to_it() {
    let (authority, origin) = (Authority::new(), Origin::named("blue"));
    let certificate = authority.write("admin", &["localhost"]);
    let check = |tls: &str, routes: &str| {
        let text = format!(
            "[admin]\nlisten = \"0.0.0.0:9900\"\ntls = {{ certificates = [{{ {certificate} }}]{tls} }}\n{routes}"
        );
        let text = text + "[[routes]]\nservice = \"web\"\n" + &with_listener(&origin, "");
        std::fs::write(authority.path("p.toml"), text).expect("a file");
        Printed::of(&["check", "--config", "p.toml"], authority.dir.path())
    };
    let open = check("", "");
    assert!(open.code == 1 && open.err.contains("a token or tls.client_ca"), "{}", open.err);
    let closed = check(", client_ca = \"ca.pem\"", "");
    assert_eq!(closed.code, 0, "{}", closed.err);
    let route = "[[routes]]\npath = \"= /api/maintenance\"\nadmin = \"maintenance\"\n";
    let public = check(", client_ca = \"ca.pem\"", route);
    assert!(public.code == 1 && public.err.contains("which admin.tls has switched off"), "{}", public.err);
    let broken = check(", client_ca = \"p.toml\"", "");
    assert!(broken.code == 1 && broken.err.contains("holds no certificate"), "{}", broken.err);
}

#[test]
fn listeners_can_ask_for_certificates_too() {
    let (authority, origin) = (Authority::new(), Origin::named("blue"));
    let certificate = authority.write("one", &["localhost"]);
    authority.write("alice", &["alice"]);
    let keys = format!("certificates = [{{ {certificate} }}], client_ca = \"{}\"", authority.ca());
    let pointsman = Pointsman::start(&config(&origin, &keys));
    let get = |args: &[&str]| {
        let url = format!("https://localhost:{}/", pointsman.http().port());
        let curl = Command::new("curl")
            .args(["-s", "--max-time", "20", "--cacert", &authority.ca()])
            .args(args)
            .arg(url)
            .output();
        String::from_utf8_lossy(&curl.expect("curl").stdout).into_owned()
    };
    let (cert, key) = (authority.path("alice.pem"), authority.path("alice.key"));
    let alice =
        ["--cert", &cert.display().to_string(), "--key", &key.display().to_string()].map(str::to_owned);
    assert_eq!(get(&alice.each_ref().map(String::as_str)), "blue");
    assert_eq!(get(&[]), "");
    assert_eq!(origin.requests(), 1);
}
