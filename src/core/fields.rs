//! What a request says under a name of its own choosing: cookies and the parameters of a query.

use http::HeaderMap;
use http::header::COOKIE;
use std::borrow::Cow;

/// The values of a cookie, in the order in which they were sent: of two with one name, the more specific path
/// comes first (RFC 6265, 5.4).
pub fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(COOKIE).iter().map(|line| line.as_bytes());
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| value_of(pair, name))
}

/// The value in `name=value`, where it has this name.
pub fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// The values of a query's parameter, decoded.
pub fn parameters<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    pairs.filter(move |(key, _)| key == name).map(|(_, value)| value)
}

/// The value of a query's parameter, as it was sent; of several, the first. Its name goes by any case, as in nginx.
pub fn raw_parameter<'a>(query: &'a str, name: &str) -> &'a str {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let lines = ["a=1; ab=2;b=3 ;a=4", "; b==5=; c; A=6", "a=\"7\""];
        let headers: HeaderMap = lines.iter().map(|line| (COOKIE, HeaderValue::from_static(line))).collect();
        let all = |name: &str| -> Vec<String> {
            cookies(&headers, name).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
        };
        assert_eq!(all("a"), ["1", "4", "\"7\""]);
        assert_eq!(all("b"), ["3", "=5="]);
        assert_eq!(all("A"), ["6"]);
        assert!(all("c").is_empty() && all("").is_empty());
    }

    #[test]
    fn parameters_are_decoded() {
        let all = |query: &str| parameters(query, "v é").map(Cow::into_owned).collect::<Vec<_>>();
        assert_eq!(all("a=1&v+%C3%A9=g%20x+y&v%20é=2&v"), ["g x y", "2"]);
        assert!(all("").is_empty() && all("&&=&v").is_empty());
        let raw = |name| raw_parameter("a=x%20y&B=2&a=3&c", name);
        assert_eq!((raw("a"), raw("b"), raw("c"), raw("d")), ("x%20y", "2", "", ""));
    }
}
