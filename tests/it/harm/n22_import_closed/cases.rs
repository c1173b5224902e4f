//! Servers with something that protects them, and what is asked of each.

/// Lines of a server, and requests.
pub const CASES: &[(&str, &[&str])] = &[
    // Conditions that refuse.
    (
        "if ($request_method !~ ^(GET|HEAD)$) { return 405; } location / { proxy_pass http://app; }",
        &["POST /", "GET /"],
    ),
    (
        "if ($request_method = DELETE) { return 403; } location / { proxy_pass http://app; }",
        &["DELETE /x", "GET /"],
    ),
    (
        "if ($http_user_agent ~* (bot|curl)) { return 444; } location / { proxy_pass http://app; }",
        &["GET /; User-Agent: curl", "GET /"],
    ),
    (
        "set $bad 0; if ($http_x_a = 1) { set $bad 1; } if ($bad = 1) { return 403; } location / { proxy_pass http://app; }",
        &["GET /; X-A: 1"],
    ),
    (
        "set $t \"\"; if ($uri ~ ^/app) { set $t A; } if ($http_x_key != k) { set $t \"${t}B\"; } if ($t = AB) { return 403; } location / { proxy_pass http://app; }",
        &["GET /app/x"],
    ),
    ("location / { if ($bad_agent) { return 403; } proxy_pass http://app; }", &["GET /; User-Agent: evil"]),
    ("location / { if ($blocked) { return 444; } root @DIR@/www; }", &["GET /secret.txt"]),
    (
        "location /admin { if ($ssl_client_verify != SUCCESS) { return 403; } proxy_pass http://app; } location / { return 404; }",
        &["GET /admin/x"],
    ),
    (
        "location /app { if ($arg_token != t) { return 403; } location /app/in { proxy_pass http://app; } proxy_pass http://app; }",
        &["GET /app/x"],
    ),
    (
        "if ($arg_token != t) { return 403; } location ~ \\.txt$ { root @DIR@/www; } location = /x { return 200 secret; } location @a { proxy_pass http://app; } location /t { root @DIR@/www; try_files $uri @a; }",
        &["GET /secret.txt", "GET /x", "GET /t"],
    ),
    ("if ($http_cookie !~ session) { return 302 /login; } location / { proxy_pass http://app; }", &["GET /"]),
    (
        "location / { if ($http_cookie !~ session) { rewrite ^ /no last; } proxy_pass http://app; } location /no { return 403; }",
        &["GET /x"],
    ),
    (
        "location / { if ($request_uri ~ \"\\.\\./\") { return 403; } if ($query_string ~ \"union.*select\") { set $b 1; } if ($b = 1) { return 403; } proxy_pass http://app; }",
        &["GET /?union+select"],
    ),
    ("if ($bad_agent) { return 403; } location / { return 200 secret; }", &["GET /; User-Agent: evil"]),
    (
        "location / { if ($invalid_referer) { return 403; } valid_referers none a.example; root @DIR@/www; }",
        &["GET /secret.txt; Referer: http://evil/"],
    ),
    (
        "location /s { secure_link $arg_md5; secure_link_md5 \"k$uri\"; if ($secure_link = \"\") { return 403; } root @DIR@/www; }",
        &["GET /s/x"],
    ),
    ("if ($host !~ ^(a|b)$) { return 444; } location / { proxy_pass http://app; }", &["GET /"]),
    // Access modules.
    ("auth_basic on; auth_basic_user_file @DIR@/none; location / { proxy_pass http://app; }", &["GET /"]),
    (
        "location /a { auth_request /check; proxy_pass http://app; } location = /check { internal; return 403; }",
        &["GET /a", "GET /check"],
    ),
    (
        "satisfy all; allow 127.0.0.1; deny all; auth_basic on; auth_basic_user_file @DIR@/none; location / { proxy_pass http://app; }",
        &["GET /"],
    ),
    ("location / { limit_except GET { deny all; } proxy_pass http://app; }", &["POST /", "PUT /x"]),
    ("deny 127.0.0.1; location / { proxy_pass http://app; }", &["GET /"]),
    (
        "deny 127.0.0.1; allow all; location / { root @DIR@/www; location ~ \\.txt$ { } }",
        &["GET /secret.txt"],
    ),
    (
        "deny all; location /a { proxy_pass http://app; location /a/b { proxy_pass http://app; } }",
        &["GET /a/x", "GET /a/b"],
    ),
    (
        "deny all; location / { root @DIR@/www; try_files $uri @app; } location @app { allow all; proxy_pass http://app; }",
        &["GET /secret.txt", "GET /x"],
    ),
    ("location /x { deny all; try_files /none @app; } location @app { proxy_pass http://app; }", &["GET /x"]),
    (
        "location /x { auth_basic on; auth_basic_user_file @DIR@/none; try_files /none @app; } location @app { auth_basic off; proxy_pass http://app; }",
        &["GET /x"],
    ),
    // Internal places.
    ("location /x { internal; return 200 secret; }", &["GET /x"]),
    (
        "location /x { internal; proxy_pass http://app; location /x/y { proxy_pass http://app; } }",
        &["GET /x", "GET /x/y"],
    ),
    ("location /x { internal; rewrite ^ /y last; } location /y { proxy_pass http://app; }", &["GET /x"]),
    ("location /x { internal; root @DIR@/www; location ~ \\.txt$ { } }", &["GET /x/a.txt"]),
    // Patterns that do not compile here.
    (
        "location ~ /\\.(?!well-known) { deny all; } location / { proxy_pass http://app; }",
        &["GET /.git/config", "GET /a/.env", "GET /.wellknown", "GET /.well-known/acme", "GET /."],
    ),
    (
        "location ~ ^/(?!app/|b/).*$ { deny all; } location / { root @DIR@/www; }",
        &["GET /secret.txt", "GET /app/x.txt", "GET /b/x.txt", "GET /b", "GET /admin/x.txt"],
    ),
    ("location ~ ^/(?=private) { deny all; } location / { root @DIR@/www; }", &["GET /private/x.txt"]),
    ("location ~ ^/(?>private|x)/ { deny all; } location / { root @DIR@/www; }", &["GET /private/x.txt"]),
    ("location ~ ^/([a-z])\\1min { deny all; } location / { proxy_pass http://app; }", &["GET /aamin"]),
    (
        "location ~ (?<!app)/x\\.txt$ { deny all; } location / { root @DIR@/www; }",
        &["GET /private/x.txt", "GET /app/x.txt"],
    ),
    (
        "location ~* \\.(?:bak|sql)(?#c)$ { return 404; } location / { root @DIR@/www; }",
        &["GET /a.bak", "GET /app/a.SQL"],
    ),
    ("location ~ ^/private\\Z { return 403; } location / { proxy_pass http://app; }", &["GET /private"]),
    ("location ~ [[.]bak$ { return 403; } location / { root @DIR@/www; }", &["GET /a.bak"]),
    (
        "location ~ ^/[a&&b]dmin { return 403; } location / { proxy_pass http://app; }",
        &["GET /admin", "GET /&dmin"],
    ),
    (
        "location ~ \\.env$ { deny all; } location / { proxy_pass http://app; }",
        &["GET /.env%0a", "GET /x.env"],
    ),
    (
        "location ~ ^/a(?!.*public).*$ { deny all; } location / { proxy_pass http://app; }",
        &["GET /app/x", "GET /a"],
    ),
    (
        "location \"/a b \" { deny all; } location / { proxy_pass http://app; }",
        &["GET /a%20b%20", "GET /a%20b%20c"],
    ),
    // Locations in locations, and precedence.
    ("location /app { location ~ /x { deny all; } root @DIR@/www; }", &["GET /app/x.txt"]),
    ("location /app { location ~ /app { deny all; } root @DIR@/www; }", &["GET /app/x.txt"]),
    (
        "location / { deny all; } location /app { root @DIR@/www; location ~ ^/(admin|app)/ { root @DIR@/www; } }",
        &["GET /admin/x.txt"],
    ),
    (
        "location ^~ /up/ { root @DIR@/www; location ~ \\.php$ { deny all; } }",
        &["GET /up/x.php", "GET /up/x.txt"],
    ),
    (
        "location ^~ /images/ { alias @DIR@/www/up/; location ~ \\.php$ { deny all; } }",
        &["GET /images/x.php"],
    ),
    (
        "location ~ ^/app { root @DIR@/www; location ~ \\.php$ { deny all; } }",
        &["GET /app/x.php", "GET /app/x.txt"],
    ),
    (
        "location /b { root @DIR@/www; location ~ \\.css$ { root @DIR@/www; } } location /b/c { deny all; }",
        &["GET /b/c/x.css"],
    ),
    (
        "location ^~ /b/ { root @DIR@/www; location ~ \\.css$ { root @DIR@/www; } location /b/c { deny all; } }",
        &["GET /b/c/x.css", "GET /b/x.txt"],
    ),
    (
        "location = /secret.txt { deny all; } location / { root @DIR@/www; }",
        &["GET /secret.txt", "GET //secret.txt", "GET /./secret.txt", "GET /%73ecret.txt"],
    ),
    ("location /images/ { alias @DIR@/www/images; }", &["GET /images/x.txt", "GET /images/"]),
    (
        "root @DIR@/www; location /app { proxy_pass http://app; location ~ \\.js$ { deny all; } } location ~ \\.bak$ { return 404; }",
        &["GET /app/x.js", "GET /a.bak"],
    ),
    // Rewrites that lead away from what is protected, and answers before locations.
    (
        "rewrite ^/private /no last; location /no { return 403; } location / { root @DIR@/www; }",
        &["GET /private/x.txt"],
    ),
    (
        "rewrite ^/private(?!/ok) /no last; location = /no { return 403; } location / { root @DIR@/www; }",
        &["GET /private/x.txt"],
    ),
    (
        "rewrite ^/app /no last; location = /no { return 404; } location ^~ /app { root @DIR@/www; } location = /app/x.txt { root @DIR@/www; }",
        &["GET /app/x.txt", "GET /app/index.html"],
    ),
    ("return 403; location / { proxy_pass http://app; }", &["GET /"]),
    ("location / { return 404; } location /x/ { proxy_pass http://app; }", &["GET /", "GET /x"]),
    // Files that are checked for before a service answers.
    ("location / { root @DIR@/www; try_files $uri =404; proxy_pass http://app; }", &["GET /none"]),
    (
        "root @DIR@/www; location / { if (!-e $request_filename) { return 404; } proxy_pass http://app; }",
        &["GET /none"],
    ),
    (
        "location / { root @DIR@/www; if (!-f $request_filename) { rewrite ^ /no last; } } location /no { return 403; }",
        &["GET /none"],
    ),
];
