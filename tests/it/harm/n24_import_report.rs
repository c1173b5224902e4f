//! Every claim of the report of an import is true, or it is not made.

use super::n22_import_closed::pair::{Pair, furnished};
use crate::harness::Printed;

/// The notes on a server with these lines: directive, level and detail.
fn notes(lines: &str) -> Vec<(String, String, String)> {
    let dir = furnished();
    let conf = format!("http {{ server {{ listen 80; {lines} }} }}");
    std::fs::write(dir.path().join("nginx.conf"), conf).expect("a file");
    let printed = Printed::of(&["import", "nginx", "nginx.conf", "--output", "json"], dir.path());
    let json: serde_json::Value = serde_json::from_str(&printed.out).expect("JSON");
    let text = |note: &serde_json::Value, key: &str| note[key].as_str().expect("a text").to_owned();
    let notes = json["notes"].as_array().expect("notes");
    notes.iter().map(|note| (text(note, "directive"), text(note, "level"), text(note, "detail"))).collect()
}

/// A directive, its level, and a word of what is said; `carried` has no note.
const CLAIMS: &[(&str, &str, &str)] = &[
    ("underscores_in_headers on", "carried", ""),
    ("underscores_in_headers off", "carried", ""),
    ("merge_slashes off", "noted", "always"),
    ("proxy_ignore_client_abort on", "missing", "ends when its client goes"),
    ("proxy_ignore_client_abort off", "carried", ""),
    ("disable_symlinks on", "carried", ""),
    ("disable_symlinks if_not_owner", "noted", "whoever owns it"),
    ("disable_symlinks off", "carried", ""),
    ("autoindex on", "carried", ""),
    ("expires modified 1d", "carried", ""),
    ("expires @15h", "missing", "is no time"),
    ("ssl_verify_depth 3", "missing", ""),
    ("ssl_password_file x", "missing", ""),
    ("ssl_conf_command Options x", "missing", ""),
    ("ssl_reject_handshake on", "missing", "denied"),
    ("ssl_early_data on", "missing", "early data"),
    ("worker_shutdown_timeout 5s", "noted", "server.grace"),
    ("client_body_in_file_only on", "missing", ""),
    ("proxy_limit_rate 10k", "missing", ""),
    ("proxy_force_ranges on", "missing", ""),
    ("proxy_socket_keepalive on", "missing", ""),
    ("etag off", "noted", "ETag"),
    ("charset koi8-r", "noted", "UTF-8"),
    ("satisfy all", "carried", ""),
    ("satisfy any", "carried", ""),
    ("auth_basic off", "carried", ""),
    ("map $a $b { }", "missing", "asks for this one"),
];

#[test]
fn nothing_is_said_to_be_carried_over_that_behaves_otherwise() {
    let mut wrong = Vec::new();
    for (line, level, word) in CLAIMS {
        let ended = if line.ends_with('}') { (*line).to_owned() } else { format!("{line};") };
        let notes = notes(&format!("{ended} location / {{ root /srv; }}"));
        let name = line.split(' ').next().unwrap_or_default();
        let note = notes.iter().find(|(directive, ..)| directive.starts_with(name));
        let found = note.map_or(("carried", ""), |(_, level, detail)| (level.as_str(), detail.as_str()));
        if found.0 != *level || !found.1.contains(word) {
            wrong.push(format!("{line}: {found:?}, not {level} with {word:?}"));
        }
    }
    println!("import, report: {} of {} claims are false", wrong.len(), CLAIMS.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_in_a_location_is_told_as_it_is() {
    let found = notes(
        "location /a { internal; root /srv; } location /b { root /srv; index index.php index.html; }
         location /c { proxy_pass http://h:1; proxy_next_upstream off; proxy_set_header X-User $ssl_client_s_dn; proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto; }
         location /d { proxy_pass http://h:1; proxy_next_upstream error timeout http_502; keepalive_timeout 5s; }
         location /e { root /srv; set_real_ip_from 10.0.0.0/8; } location /f { root html; } error_page 502 /x.php;",
    );
    for (directive, level, word) in [
        ("root /srv", "noted", "hidden files"),
        ("proxy_next_upstream error", "noted", "that of the first one holds"),
        ("proxy_set_header X-User", "missing", "taken off"),
        ("proxy_set_header X-Forwarded-Proto", "missing", "own is sent"),
        ("keepalive_timeout 5s", "noted", "by listener"),
        ("set_real_ip_from", "noted", "by listener"),
        ("root html", "missing", "write it whole"),
    ] {
        let fits = |(known, at, detail): &&(String, String, String)| {
            known.starts_with(directive) && at == level && detail.contains(word)
        };
        assert!(found.iter().any(|note| fits(&note)), "{directive}: {level}, {word} in\n{found:#?}");
    }
}

/// What the report promises of fields is what an application sees.
#[test]
fn fields_that_were_lost_are_not_what_a_client_says() {
    let pair = Pair::start(
        "access_log off; upstream app { server @APP@; }
         server { listen @LISTEN@; location / { proxy_pass http://app; proxy_set_header Host $host; proxy_set_header X-User $remote_user; }
           location /files/ { internal; root @DIR@/www; } }",
    );
    let (nginx, pointsman) =
        pair.ask("a.example:8080", "GET /x; X-User: admin; X_User: admin; X_Forwarded_For: 1.1.1.1");
    assert_eq!((nginx.status, pointsman.status), (200, 200));
    let received = pair.app.all();
    let [theirs, ours] = &received[..] else { panic!("two requests, not {}", received.len()) };
    assert_eq!((theirs.header("x-user"), ours.header("x-user")), (None, None), "nginx sends no empty field");
    assert_eq!((theirs.header("x_user"), ours.header("x_user")), (None, None));
    assert_eq!(theirs.header("host"), ours.header("host"), "$host has no port");
}
