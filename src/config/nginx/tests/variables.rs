//! Variables, look-ups and conditions of nginx.

use super::*;

#[test]
fn variables_and_look_ups_become_maps_and_texts() {
    let imported = imported(
        r#"http { map $http_x_canary $by { default stable; "1" canary; } map $cookie_canary $to { default $by; always canary; ~^no stable; }
         geo $office { default 0; 10.0.0.0/8 1; } map $uri $gone { default 0; ~^/old/(?<rest>.*)$ /new/$rest; } map $a $unused { default 1; }
         upstream stable { server s:1; } upstream canary { server c:1; }
         limit_req_zone $by_key zone=z:1m rate=5r/s; map $office $by_key { 1 ""; default $binary_remote_addr; }
         server { listen 80; server_name ~^(?<tenant>[a-z]+)\.a\.example$; set $app shop; set $port 8080;
           add_header X-App "$app-$to" always; if ($gone) { return 301 $gone; }
           location / { limit_req zone=z; proxy_pass http://$to; proxy_set_header Host $host; proxy_set_header X-Tenant $tenant; }
           location /x { proxy_pass http://$app:$port; } location ~ ^/v(\d+)/ { return 302 /api/$1; }
           location /y { set $z $arg_z; if ($office) { set $z in; } add_header X-Z $z; return 204; } } }"#,
    );
    says(
        &imported,
        &[
            "[maps.to]\nof = \"$cookie_canary\"\nvalues = { \"always\" = \"canary\", \"~^no\" = \"stable\" }\ndefault = \"$by\"",
            "[maps.office]\nof = \"$remote_addr\"\nvalues = { \"10.0.0.0/8\" = \"1\" }\ndefault = \"0\"",
            "[maps.gone]\nof = \"$path\"\nvalues = { '~^/old/(?<rest>.*)$' = \"/new/$rest\" }\ndefault = \"0\"".replace('\'', "\"").as_str(),
            "values = { '~^(?<tenant>[a-z]+)\\.a\\.example$' = \"$1\" }",
            "hosts = ['~^(?<tenant>[a-z]+)\\.a\\.example$']\nfirst = true\nwhen = { value = { of = \"$gone\" } }\nredirect = { to = \"$gone\", status = 301 }",
            "when = { value = { of = \"$to\", equals = \"canary\" } }\nservice = \"canary\"",
            "by = \"$by_key\"",
            "\"X-App\" = \"shop-$to\"",
            "path = \"/x\"\nservice = \"shop-8080\"",
            "rewrite = [{ match = '^/v(\\d+)/', to = \"/api/$1?\", status = 302 }]",
            "[maps.z]\nof = \"$office\"\nvalues = { \"\" = \"$arg_z\", \"0\" = \"$arg_z\" }\ndefault = \"in\"",
        ],
    );
    tells(&imported, "map $a $unused", Level::Noted);
    let missing: Vec<_> = imported.notes.iter().filter(|note| note.level == Level::Missing).collect();
    assert!(missing.is_empty() && fuzzing::unsound(&imported).is_empty(), "{missing:#?}\n{}", imported.toml);
}

#[test]
fn conditions_become_routes_in_the_order_in_which_nginx_asks() {
    let imported = server(
        r#"if ($http_user_agent ~* (bot|evil)) { return 403; } set $down 0; if (-f /srv/down.html) { set $down 1; }
         if ($arg_in) { set $down 0; } if ($down) { return 503; } rewrite ^/old/(.*)$ /new/$1 last;
         location / { if ($request_method = OPTIONS) { add_header A b; return 204; } if ($arg_a = 1) { add_header X one; }
           if ($arg_b) { rewrite ^/b/(.*)$ /c/$1 last; } proxy_pass http://h:1; limit_except GET { deny all; } }
         location /d { if ($arg_a = 1) { break; } return 404; }"#,
    );
    let order = [
        "first = true\nwhen = { value = { of = \"$http_user_agent\", matches = \"(?i)(bot|evil)\" } }\ndeny = true",
        "first = true\nwhen = { value = { of = \"$arg_in\", not = true }, file = { path = \"/srv/down.html\" } }\nreply = { status = 503 }",
        "first = true\nonward = true\nrewrite = [{ match = \"^/old/(.*)$\", to = \"/new/$1\", then = \"route\" }]",
        "when = { value = { of = \"$request_method\", equals = \"OPTIONS\" } }\nreply = { status = 204 }",
        "when = { value = [{ of = \"$arg_b\" }, { of = \"$path\", matches = \"^/b/(.*)$\" }] }\n",
        "when = { methods = [\"GET\", \"HEAD\"], value = { of = \"$arg_a\", equals = \"1\" } }\nservice",
        "when = { value = { of = \"$arg_a\", equals = \"1\" } }\ndeny = true",
        "path = \"/\"\nwhen = { methods = [\"GET\", \"HEAD\"] }\nservice",
        "path = \"/\"\ndeny = true",
    ];
    says(&imported, &order);
    let places: Vec<_> = order.iter().map(|line| imported.toml.find(line)).collect();
    assert!(places.is_sorted(), "{places:?}\n{}", imported.toml);
    assert!(fuzzing::unsound(&imported).is_empty());
}

#[test]
fn conditions_that_cannot_be_asked_close_their_places() {
    for lines in [
        "location /a { if ($ssl_client_verify != SUCCESS) { return 403; } proxy_pass http://h:1; }",
        "location /a { if (-d $document_root/x) { return 403; } proxy_pass http://h:1; }",
        "location /a { if ($http_a = $http_b) { return 403; } proxy_pass http://h:1; }",
        "location /a { set $x $connection; if ($x = 1) { return 403; } proxy_pass http://h:1; }",
        "location /a { rewrite ^/a/(.*)$ /b/$1; if ($uri ~ ^/b) { return 403; } proxy_pass http://h:1; }",
        "location /a { rewrite ^/a/(.*)$ /b/$1 break; set $x 1; if ($x) { return 403; } proxy_pass http://h:1; }",
    ] {
        says(&server(lines), &["path = \"/a\"\ndeny = true"]);
    }
}

#[test]
fn where_no_file_is_another_answers() {
    let imported = server(
        "root /srv; location / { if (!-e $request_filename) { rewrite ^(.*)$ /index.html?q=$1 last; } }
         location /a { if (!-f $request_filename) { proxy_pass http://h:1; break; } }",
    );
    says(
        &imported,
        &[
            "files = { root = \"/srv\", try = [\"$path\", \"$path/\"], fallback = \"/index.html?q=$path&$args\",",
            "files = { root = \"/srv\", try = [\"$path\"], fallback = \"@no-file\",",
            "path = \"@no-file\"\nservice = \"h-1\"",
        ],
    );
    assert!(fuzzing::unsound(&imported).is_empty());
}
