//! `forwarded` of pools and routes: one word, or one for each field.

use super::reader::Item;
use crate::core::settings::{Forwarded, ForwardedField};

const TRUSTED: (&str, ForwardedField) = ("trusted", ForwardedField::Trusted);
const APPEND: (&str, ForwardedField) = ("append", ForwardedField::Append);
const REPLACE: (&str, ForwardedField) = ("replace", ForwardedField::Replace);
const KEEP: (&str, ForwardedField) = ("keep", ForwardedField::Keep);
const OFF: (&str, ForwardedField) = ("off", ForwardedField::Off);

pub(super) fn read(item: &Item<'_>) -> Option<Forwarded> {
    let words = [TRUSTED, APPEND, REPLACE, KEEP, OFF];
    if item.is_string() {
        return item.choice(&words).map(Forwarded::all);
    }
    let section = item.section()?;
    let field =
        |key| section.read(key, ForwardedField::Trusted, |item| item.choice(&[TRUSTED, REPLACE, KEEP, OFF]));
    let forwarded = Forwarded {
        chain: section.read("for", ForwardedField::Trusted, |item| item.choice(&words)),
        proto: field("proto"),
        host: field("host"),
        port: field("port"),
        real_ip: field("real_ip"),
    };
    section.finish();
    Some(forwarded)
}

#[cfg(test)]
mod tests {
    use crate::config::parse;
    use crate::core::settings::{Forwarded, ForwardedField};
    use std::path::Path;

    fn read(value: &str) -> Result<Forwarded, String> {
        let text = format!(
            "[[listeners]]\naddress = \"127.0.0.1:80\"\n[[routes]]\nservice = \"web\"\n\
             [services.web.pools.blue]\nupstreams = [\"10.0.0.1:80\"]\nforwarded = {value}\n"
        );
        let config = parse(&text, "test.toml", &|_| None, Path::new("/nowhere"));
        config
            .map(|config| config.services["web"].pools["blue"].forwarded)
            .map_err(|faults| faults.to_string())
    }

    #[test]
    fn a_word_stands_for_all_and_a_table_for_each() {
        let append = read("\"append\"").expect("accepted");
        assert_eq!((append.chain, append.proto), (ForwardedField::Append, ForwardedField::Trusted));
        assert_eq!(read("\"keep\""), Ok(Forwarded::all(ForwardedField::Keep)));
        assert_eq!(read("{}"), Ok(Forwarded::default()));
        let each = read(
            "{ for = \"append\", proto = \"replace\", host = \"off\", port = \"keep\", real_ip = \"keep\" }",
        );
        let expected = Forwarded {
            chain: ForwardedField::Append,
            proto: ForwardedField::Replace,
            host: ForwardedField::Off,
            port: ForwardedField::Keep,
            real_ip: ForwardedField::Keep,
        };
        assert_eq!(each, Ok(expected));
        for (value, expected) in [
            ("\"all\"", "\"all\" is none of trusted, append, replace, keep, off"),
            ("{ proto = \"append\" }", "forwarded.proto: \"append\" is none of trusted, replace, keep, off"),
            ("{ ip = \"off\" }", "forwarded.ip: unknown key"),
        ] {
            let told = read(value).expect_err(expected);
            assert!(told.contains(expected), "{told}");
        }
    }
}
