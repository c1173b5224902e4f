//! A list of what is in a folder: HTML, or JSON for those who ask for it.
//!
//! Names are whatever somebody called a file: they are escaped wherever they stand, and links to them begin with `./`, so
//! that none is read as another scheme or host.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use std::fmt::Write;

/// Names beyond these are left out.
pub(super) const MOST_NAMES: usize = 10_000;

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// As the file system has it.
    pub name: Vec<u8>,
    pub is_folder: bool,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub modified_s: i64,
}

/// Folders first, then by name.
pub(super) fn sort(listed: &mut [Listed]) {
    listed.sort_by(|one, other| (!one.is_folder, &one.name).cmp(&(!other.is_folder, &other.name)));
}

/// A page; `path` is that of the folder, as people read it.
pub(super) fn html(path: &str, listed: &[Listed]) -> String {
    let title = escaped(path);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Index of {title}</title></head>\n\
         <body><h1>Index of {title}</h1>\n<table>\n"
    );
    if path != "/" {
        page.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for Listed { name, is_folder, size, modified_s } in listed {
        let slash = if *is_folder { "/" } else { "" };
        let (link, shown) = (linked(name), escaped(&String::from_utf8_lossy(name)));
        let time = Timestamp::from_second(*modified_s).unwrap_or(Timestamp::UNIX_EPOCH);
        let time = time.strftime("%Y-%m-%d %H:%M");
        let size = if *is_folder { "-".to_owned() } else { size.to_string() };
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "<tr><td><a href=\"./{link}{slash}\">{shown}{slash}</a></td><td>{time}</td><td align=\"right\">{size}</td></tr>"
        );
    }
    page.push_str("</table></body></html>\n");
    page
}

/// nginx's form: an array of objects with `name`, `type`, `mtime`, and of files `size`.
pub(super) fn json(listed: &[Listed]) -> String {
    let rows = listed.iter().map(|Listed { name, is_folder, size, modified_s }| {
        let time = Timestamp::from_second(*modified_s).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut row = serde_json::json!({
            "name": String::from_utf8_lossy(name),
            "type": if *is_folder { "directory" } else { "file" },
            "mtime": DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap_or_default(),
        });
        if let Some(row) = row.as_object_mut().filter(|_| !is_folder) {
            row.insert("size".to_owned(), (*size).into());
        }
        row
    });
    format!("{}\n", serde_json::Value::Array(rows.collect()))
}

fn linked(name: &[u8]) -> String {
    let mut link = String::with_capacity(name.len());
    for byte in name {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                link.push(char::from(*byte))
            }
            byte => drop(write!(link, "%{byte:02X}")),
        }
    }
    link
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &[u8], is_folder: bool) -> Listed {
        Listed { name: name.to_vec(), is_folder, size: 5, modified_s: 784_111_777 }
    }

    #[test]
    fn names_are_text_and_nothing_else() {
        let page =
            html("/<b>/", &[listed(b"javascript:alert(1)", false), listed(b"\"><script>\n\xff", false)]);
        assert!(page.contains("<a href=\"./javascript%3Aalert%281%29\">javascript:alert(1)</a>"), "{page}");
        assert!(
            page.contains(
                "<a href=\"./%22%3E%3Cscript%3E%0A%FF\">&quot;&gt;&lt;script&gt;\u{fffd}\u{fffd}</a>"
            ),
            "{page}"
        );
        assert!(page.contains("Index of /&lt;b&gt;/") && !page.contains("<script"), "{page}");
        assert!(page.contains("<td>1994-11-06 08:49</td><td align=\"right\">5</td>"), "{page}");
    }

    #[test]
    fn folders_come_first() {
        let mut all = [listed(b"b", false), listed(b"z", true), listed(b"a", false), listed(b"c", true)];
        sort(&mut all);
        assert_eq!(all.each_ref().map(|one| one.name.as_slice()), [&b"c"[..], b"z", b"a", b"b"]);
        let text = json(&all[1..3]);
        assert_eq!(
            text,
            "[{\"mtime\":\"Sun, 06 Nov 1994 08:49:37 GMT\",\"name\":\"z\",\"type\":\"directory\"},\
             {\"mtime\":\"Sun, 06 Nov 1994 08:49:37 GMT\",\"name\":\"a\",\"size\":5,\"type\":\"file\"}]\n"
        );
    }
}
