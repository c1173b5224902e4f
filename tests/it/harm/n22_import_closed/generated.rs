//! Servers that nobody wrote, made of what protects and of what is protected.

use crate::harness::Draw;

const PROTECTIVE: &[&str] = &[
    "deny all;",
    "allow 127.0.0.1; deny all;",
    "allow 10.0.0.0/8; deny all;",
    "deny 127.0.0.0/8; allow all;",
    "allow 127.0.0.2; deny 127.0.0.1;",
    "satisfy any; allow 10.0.0.0/8; deny all; auth_basic x; auth_basic_user_file @DIR@/none;",
    "satisfy any; allow 127.0.0.1; deny all; auth_basic x; auth_basic_user_file @DIR@/none;",
    "auth_basic x; auth_basic_user_file @DIR@/none;",
    "auth_basic off;",
    "auth_request /refused;",
    "auth_request off;",
    "if ($http_x_bad) { return 403; }",
    "if ($request_method = POST) { return 405; }",
    "if ($arg_token != t) { return 444; }",
    "if ($bad_agent) { return 401; }",
    "if ($blocked) { return 404; }",
    "if ($http_x_a) { return 302 /elsewhere; }",
    "if ($http_x_a = \"\") { rewrite ^ /refused last; }",
    "if (!-e $request_filename) { return 404; }",
    "if ($host = \"\") { return 444; }",
    "if ($host != named.example) { return 444; }",
    "if ($host !~ ^s[0-9]*[02468]\\.example$) { return 403; }",
    "secure_link $arg_s; secure_link_md5 k;",
    "set $no 0; if ($http_x_bad) { set $no 1; } if ($no) { return 403; }",
    "set $no \"\"; if ($http_user_agent ~* evil) { set $no 1; } if ($arg_token = t) { set $no \"${no}2\"; } if ($no = 12) { return 403; }",
    "if (-f @DIR@/www/index.html) { return 503; }",
    "set $down 0; if (-f @DIR@/www/page.html) { set $down 1; } if ($http_x_a) { set $down 0; } if ($down) { return 503; }",
    "if (-f @DIR@/www/gone.html) { return 503; }",
    "set $at $uri; if ($at ~ private) { return 403; }",
    "if ($uri ~* ^/(app|private)/(.*)$) { return 403; }",
    "if ($request_uri ~ secret) { return 404; }",
    "if ($request_method !~ ^(GET|HEAD)$) { return 405; }",
    "if ($outside) { return 403; }",
    "if ($by_token = deny) { return 403; }",
    "if ($of_path) { return 404; }",
    "if ($http_x_a) { break; } if ($arg_token) { return 403; }",
    "rewrite ^/app/(.*)$ /b/$1; if ($uri ~ ^/b) { return 403; }",
];

const IN_LOCATIONS: &[&str] = &[
    "internal;",
    "limit_except GET { deny all; }",
    "limit_except GET HEAD { allow 127.0.0.1; deny all; }",
    "return 403;",
    "return 200 secret;",
    "rewrite ^/app/(.*)$ /private/$1 last;",
    "rewrite ^/b/(.*)$ /b/c/$1 break;",
    "rewrite ^ /refused last;",
    "if ($http_x_a) { rewrite ^/app/(.*)$ /private/$1 last; }",
    "if ($arg_token = t) { add_header X-T t; }",
    "if ($arg_token = t) { return 403; }",
    "rewrite ^/app/(.*)$ /refused/$1; set $x $1; if ($x = x.txt) { return 403; }",
    "limit_except GET { auth_basic x; auth_basic_user_file @DIR@/none; }",
];

const CONTENT: &[&str] = &[
    "proxy_pass http://app;",
    "proxy_pass http://app/;",
    "root @DIR@/www;",
    "root @DIR@/www; try_files $uri =404;",
    "root @DIR@/www; try_files /none @named;",
    "root @DIR@/www; try_files $uri @named;",
    "root @DIR@/www; try_files $uri $uri/ /index.html;",
    "root @DIR@/www; try_files /dev/null /page.html;",
    "root @DIR@/www; try_files $uri.html =404;",
    "root @DIR@/www; index none.html index.html;",
    "fastcgi_pass 127.0.0.1:1;",
    "proxy_pass http://$by_pool;",
    "set $to app; proxy_pass http://$to;",
    "root @DIR@/$folder;",
    "",
];

const PLACES: &[&str] = &[
    "/",
    "/app",
    "/app/",
    "= /secret.txt",
    "^~ /b/",
    "/b",
    "/b/c",
    "^~ /admin",
    "~ \\.txt$",
    "~* \\.(php|CSS)$",
    "~ ^/app/.*\\.php$",
    "~ /\\.(?!well-known)",
    "~ ^/(?!app|b)",
    "~ (?<=app)/x",
    "^~ /images/",
    "/private",
    "~ ^/(?=private)",
    "/up/",
    "= /",
];

const INNER: &[&str] = &["~ \\.txt$", "~ x\\.(css|php)$", "~ /x", "~ (?<!b)/x"];

/// The lines of a server.
pub fn server(draw: &mut Draw) -> String {
    let mut text = String::new();
    let mut taken: Vec<&str> = Vec::new();
    if draw.one_in(4) {
        text.push_str(draw.of(PROTECTIVE));
    }
    if draw.one_in(8) {
        text.push_str(draw.of(&[
            "rewrite ^/private /refused last;",
            "rewrite ^/b/(.*)$ /up/$1;",
            "return 404;",
            "rewrite ^/b/(.*)$ /refused/$1; if ($uri ~ ^/refused) { return 403; }",
            "if ($http_x_a) { rewrite ^/app /refused last; }",
            "rewrite ^/app/(.*)$ /private/$1 break;",
        ]));
    }
    text.push_str(draw.of(&["root @DIR@/www;", "", "index index.php index.html;"]));
    for _ in 0..1 + draw.next() % 4 {
        let place = draw.of(PLACES);
        if taken.contains(&place) || (place == "^~ /b/" && taken.contains(&"/b/")) {
            continue;
        }
        taken.push(place);
        text.push_str(&location(draw, place));
    }
    text + "location = /refused { internal; return 403; } location @named { proxy_pass http://app; }"
}

fn location(draw: &mut Draw, place: &str) -> String {
    let mut inside = body(draw, place);
    let takes_more = !place.starts_with('=') && draw.one_in(3);
    if takes_more {
        let inner = draw.of(INNER);
        inside.push_str(&format!("location {inner} {{ {} }}", body(draw, inner)));
    }
    if !place.starts_with(['=', '~']) && draw.one_in(3) {
        let inner = format!("{}{}x", draw.of(&["", "^~ "]), place.trim_start_matches("^~ "));
        inside.push_str(&location(draw, &inner));
    }
    format!("location {place} {{ {inside} }}\n")
}

fn body(draw: &mut Draw, place: &str) -> String {
    let mut text = String::new();
    if draw.one_in(2) {
        text.push_str(draw.of(PROTECTIVE));
    }
    if draw.one_in(5) {
        text.push_str(draw.of(IN_LOCATIONS));
    }
    let content = draw.of(CONTENT);
    // nginx knows no path there.
    text.push_str(if place.starts_with('~') && content.ends_with("app/;") {
        "proxy_pass http://app;"
    } else {
        content
    });
    text
}

/// What is asked of each.
pub const REQUESTS: &[&str] = &[
    "GET /",
    "GET /secret.txt",
    "GET /app/x.txt",
    "GET /app/x.php",
    "GET /app/",
    "GET /b/x.txt",
    "GET /b/c/x.css",
    "GET /admin/x.txt",
    "GET /images/x.txt",
    "GET /private/x.txt",
    "GET /up/x.php",
    "GET /none",
    "GET /.well-known/acme",
    "GET /.env",
    "GET //app//x.txt",
    "GET /app/../private/x.txt",
    "GET /x.txt%0a",
    "POST /app/x",
    "GET /app/x?token=t; X-A: 1",
    "GET /b/x.txt?token=t; User-Agent: evil; X-Bad: 1",
    "DELETE /private/x.txt?token=t",
];
