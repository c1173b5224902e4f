//! Directives that only set up what is off everywhere: they change nothing, and nobody has to read of them.

use super::Import;
use super::include::Tree;
use super::tree::Directive;

/// What switches something on, and what is only about that. A name that ends in `_` stands for all that begin so.
const SWITCHES: &[(&str, &[&str])] = &[
    ("proxy_cache", &["proxy_cache_", "proxy_no_cache"]),
    ("autoindex", &["autoindex_"]),
    ("auth_basic", &["auth_basic_user_file"]),
    ("auth_request", &["auth_request_set"]),
    ("ssi", &["ssi_"]),
    ("sub_filter", &["sub_filter_"]),
    ("mirror", &["mirror_request_body"]),
    ("userid", &["userid_"]),
    ("limit_rate", &["limit_rate_after"]),
    ("image_filter", &["image_filter_"]),
    ("proxy_store", &["proxy_store_access"]),
    ("gzip", &["gzip_min_length", "gzip_comp_level", "gzip_types", "gzip_proxied", "gzip_vary"]),
    ("brotli", &["brotli_comp_level", "brotli_types", "brotli_min_length"]),
    ("fastcgi_pass", &["fastcgi_"]),
    ("uwsgi_pass", &["uwsgi_"]),
    ("scgi_pass", &["scgi_"]),
];

/// Fields of answers that only a cache heeds.
const OF_CACHES: [&str; 4] = ["cache-control", "expires", "set-cookie", "vary"];

impl<'a> Import<'a> {
    /// Marks them as carried over.
    pub(super) fn idle(&self, tree: &'a Tree) {
        let mut all = Vec::new();
        tree.directives.iter().for_each(|directive| directive.visit(&mut |inner| all.push(inner)));
        let is_on = |name: &str| {
            let is_off = |line: &Directive| matches!(line.arg(0), "off" | "0") && line.args.len() == 1;
            all.iter().any(|line| line.name == name && !is_off(line))
        };
        for (switch, about) in SWITCHES.iter().filter(|(switch, _)| !is_on(switch)) {
            let is_about = |line: &&&Directive| {
                let fits =
                    |name: &&str| line.name == **name || name.ends_with('_') && line.name.starts_with(*name);
                line.name != *switch && about.iter().any(fits)
            };
            all.iter().filter(is_about).for_each(|line| self.ledger.carried(line));
        }
        let is_of_caches = |line: &&&Directive| {
            let is_one = |name: &String| OF_CACHES.contains(&name.to_ascii_lowercase().as_str());
            line.name == "proxy_ignore_headers" && line.args.iter().all(is_one)
        };
        if !is_on("proxy_cache") {
            all.iter().filter(is_of_caches).for_each(|line| self.ledger.carried(line));
        }
    }
}
