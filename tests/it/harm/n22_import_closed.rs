//! What protected a location under nginx stays closed.

mod cases;
mod generated;
pub(super) mod pair;

use crate::harness::Draw;
use pair::{Alone, Pair, is_opened};

/// What the servers of the cases use.
const AROUND: &str = "access_log off;
upstream app { server @APP@; }
map $http_user_agent $bad_agent { default 0; ~evil 1; }
geo $blocked { default 0; 127.0.0.0/8 1; }
geo $outside { default 1; 10.0.0.0/8 0; }
map $arg_token $by_token { default deny; t allow; }
map $uri $of_path { default 0; ~private 1; ~^/b/ $arg_token; }
upstream other { server @APP@; }
map $arg_token $by_pool { default app; t other; }
map $arg_token $folder { default www; t www/private; }
server { listen @LISTEN@ default_server; return 404; }
";

/// What came of asking both.
#[derive(Default)]
struct Tally {
    asked: usize,
    refused: usize,
    given: usize,
    given_by_both: usize,
    opened: Vec<String>,
}

impl Tally {
    fn ask(&mut self, pair: &Pair, host: &str, request: &str, lines: &str) {
        let (nginx, pointsman) = pair.ask(host, request);
        let gives = |status: u16| (200..300).contains(&status);
        self.asked += 1;
        self.refused += usize::from(matches!(nginx.status, 0 | 401 | 403 | 404));
        self.given += usize::from(gives(nginx.status));
        self.given_by_both += usize::from(gives(nginx.status) && gives(pointsman.status));
        // What fails in nginx is not refused by it.
        let is_answer = nginx.status >= 300 && nginx.status != 500;
        if is_opened(&nginx, &pointsman) || (is_answer && pointsman.text().contains("secret")) {
            self.opened.push(format!("{host} {request}: {} but {}: {lines}", nginx.status, pointsman.status));
        }
    }

    #[track_caller]
    fn end(self, what: &str) {
        let Tally { asked, refused, given, given_by_both, opened } = self;
        println!(
            "import, closed: {what}: of {asked} requests nginx refuses {refused}, of which the import serves {}; \
             nginx serves {given}, of which the import serves {given_by_both}",
            opened.len()
        );
        assert!(refused > 20 && given_by_both > 5, "{what} asks too little");
        assert!(opened.is_empty(), "{}", opened.join("\n"));
    }
}

#[test]
fn what_nginx_refuses_is_not_served() {
    let servers = cases::CASES.iter().enumerate().map(|(index, (lines, _))| {
        format!("server {{ listen @LISTEN@; server_name s{index}.example; {lines} }}\n")
    });
    let pair = Pair::start(&format!("{AROUND}{}", servers.collect::<String>()));
    let mut tally = Tally::default();
    for (index, (lines, requests)) in cases::CASES.iter().enumerate() {
        requests.iter().for_each(|request| tally.ask(&pair, &format!("s{index}.example"), request, lines));
    }
    tally.end(&format!("{} servers", cases::CASES.len()));
}

/// The property of the import, for servers of a fixed seed; `POINTSMAN_SEED` tries another.
#[test]
fn what_nginx_refuses_is_not_served_whatever_the_servers() {
    let seed = std::env::var("POINTSMAN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(22);
    let mut draw = Draw(seed);
    let servers: Vec<String> = (0..120).map(|_| generated::server(&mut draw)).collect();
    let named = servers.iter().enumerate().map(|(index, lines)| {
        format!("server {{ listen @LISTEN@; server_name s{index}.example; {lines} }}\n")
    });
    let pair = Pair::start(&format!("{AROUND}{}", named.collect::<String>()));
    let mut tally = Tally::default();
    for (index, lines) in servers.iter().enumerate() {
        let host = format!("s{index}.example");
        generated::REQUESTS.iter().for_each(|request| tally.ask(&pair, &host, request, lines));
    }
    tally.end(&format!("{} generated servers", servers.len()));
}

/// What this nginx does not have, and what others bring along: imported, and asked.
#[test]
fn what_nobody_knows_to_be_harmless_closes_its_place() {
    let lines = [
        "access_by_lua_block { ngx.exit(403) }",
        "rewrite_by_lua_file /x.lua;",
        "header_filter_by_lua_block { }",
        "js_access main.check;",
        "modsecurity on;",
        "auth_jwt \"x\";",
        "auth_ldap \"x\";",
        "frobnicate on;",
        "testcookie on;",
        "include snippets/gone.conf;",
        "geoip2_deny x; naxsi_rules x;",
        "if ($x) { frobnicate; }",
    ];
    let mut servers = String::from(
        "upstream app { server @APP@; }\nserver { listen @LISTEN@ default_server; return 404; }\n",
    );
    for (index, line) in lines.iter().enumerate() {
        let own = format!(
            "server_name s{index}.example; root @DIR@/www; location /x {{ return 200 secret; }} location /app {{ proxy_pass http://app; }}"
        );
        servers.push_str(&format!("server {{ listen @LISTEN@; {own} {line} }}\n"));
        let own = format!(
            "server_name l{index}.example; root @DIR@/www; location /open {{ proxy_pass http://app; }}"
        );
        servers.push_str(&format!(
            "server {{ listen @LISTEN@; {own} location /app {{ {line} proxy_pass http://app; }} }}\n"
        ));
    }
    let alone = Alone::start(&servers);
    let mut open = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        for (host, path) in [("s", "/secret.txt"), ("s", "/app"), ("l", "/app/x")] {
            let answer = alone.get(&format!("{host}{index}.example"), path);
            if answer.status != 403 {
                open.push(format!("{host} {path}: {}: {line}", answer.status));
            }
        }
        assert_eq!(alone.get(&format!("l{index}.example"), "/open").status, 200, "{line}");
    }
    println!(
        "import, closed: {} of {} unknown protections leave something open",
        open.len(),
        lines.len() * 3
    );
    assert!(open.is_empty(), "{}", open.join("\n"));
}
