//! Where a request's body ends: lengths, encodings, chunks.

use super::case::{Case, arrives, broken, either, forwarded, refused};

/// A POST with these field lines, each ended by CR LF, and what follows the head.
fn post(fields: &str, rest: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n{rest}")
}

const NEXT: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

pub fn lengths() -> Vec<Case> {
    let hello = || arrives("POST /x").body("hello").with("Content-Length: 5");
    let mut cases = vec![
        forwarded("length", post("Content-Length: 5\r\n", "hello"), [hello()]),
        forwarded("length after tab and spaces", post("Content-Length:\t  5 \t\r\n", "hello"), [hello()]),
        forwarded(
            "length in lower case",
            post("content-length: 5\r\n", "hello"),
            [arrives("POST /x").body("hello").with("content-length: 5")],
        ),
        forwarded("length zero", post("Content-Length: 0\r\n", ""), [arrives("POST /x")]),
        forwarded("no length is no body", post("", ""), [arrives("POST /x")]),
        forwarded(
            "a GET with a body",
            "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            [arrives("GET /x").body("hello")],
        ),
        broken("length longer than the body", post("Content-Length: 50\r\n", "hello")).closing(),
        either(
            "length with leading zeros",
            post("Content-Length: 005\r\n", "hello"),
            arrives("POST /x").body("hello"),
        ),
        either("equal lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), hello()),
        either("a list of equal lengths", post("Content-Length: 5, 5\r\n", "hello"), hello()),
    ];
    let wrong = [
        "+5",
        "-5",
        "-0",
        "0x5",
        "5 5",
        "5,6",
        "5,",
        ",5",
        "",
        " ",
        "5.0",
        "5e0",
        "five",
        "5\t5",
        "5;",
        "'5'",
        "\"5\"",
        "5_0",
        "0b101",
        "\u{ff15}",
        "18446744073709551616",
        "18446744073709551621",
        "9223372036854775808",
        "99999999999999999999999999",
        "4294967301x",
        "5\u{b}",
        "\u{c}5",
        "5\0",
        "5\r",
        "NaN",
        "null",
    ];
    cases.extend(wrong.map(|value| {
        refused(&format!("length {value:?}"), post(&format!("Content-Length: {value}\r\n"), "hello"))
    }));
    for (one, two) in [("5", "6"), ("6", "5"), ("0", "5"), ("5", "0"), ("5", "+5"), ("5", "05"), ("", "5")] {
        let fields = format!("Content-Length: {one}\r\nX: y\r\nCONTENT-LENGTH: {two}\r\n");
        cases.push(refused(&format!("lengths {one:?} and {two:?}"), post(&fields, "hello")));
    }
    let name = |name: &str| format!("{name}: 5\r\n");
    for odd in [
        "Content-Length ",
        " Content-Length",
        "Content-Length\t",
        "Content\u{0}-Length",
        "Content-Length\u{b}",
    ] {
        cases.push(refused(&format!("the name {odd:?}"), post(&name(odd), "hello")));
    }
    cases.push(refused("a folded length", post("Content-Length:\r\n 5\r\n", "hello")));
    cases.push(refused("a length after a lone CR", post("X: y\rContent-Length: 5\r\n", "hello")));
    cases.push(refused("a length after a lone LF", post("X: y\nContent-Length: 5\r\n", "hello")));
    cases
}

pub fn encodings() -> Vec<Case> {
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    let hello = || arrives("POST /x").body("hello").without("content-length");
    let mut cases = vec![
        forwarded("chunked", post("Transfer-Encoding: chunked\r\n", chunked), [hello()]),
        forwarded("chunked in capitals", post("TRANSFER-ENCODING: Chunked\r\n", chunked), [hello()]),
        forwarded(
            "chunked with spaces about",
            post("Transfer-Encoding: \t chunked \t \r\n", chunked),
            [hello()],
        ),
    ];
    let values = [
        "identity",
        "xchunked",
        "chunkedx",
        "chunked, identity",
        "identity, chunked",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "chunked;q=1",
        "\"chunked\"",
        "'chunked'",
        "chunked\u{b}",
        "\u{b}chunked",
        "\u{c}chunked",
        "chunked\0",
        "\0chunked",
        "chun\tked",
        "chunk",
        "",
        "deflate",
        "x",
        "chunked chunked",
        "[chunked]",
        "chunked\r",
        "\u{85}chunked",
        "chunked\u{a0}",
        "ch\u{75}nked\\",
        "c\u{212a}unked",
        "nothing",
    ];
    cases.extend(values.map(|value| {
        refused(&format!("encoding {value:?}"), post(&format!("Transfer-Encoding: {value}\r\n"), chunked))
    }));
    let names = [
        "Transfer-Encoding ",
        "Transfer-Encoding\t",
        " Transfer-Encoding",
        "\tTransfer-Encoding",
        "Transfer-Encoding\u{b}",
        "Transfer\0-Encoding",
        "Transfer-Encoding\u{a0}",
        "Transfer-Encoding\r",
    ];
    cases.extend(
        names.map(|name| {
            refused(&format!("the name {name:?}"), post(&format!("{name}: chunked\r\n"), chunked))
        }),
    );
    let both = [
        ("length, then encoding", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        ("encoding, then length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        ("length zero and encoding", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
        (
            "length, encoding and close",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n",
        ),
        ("length, unknown encoding", "Content-Length: 5\r\nTransfer-Encoding: x\r\n"),
        ("length, identity", "Content-Length: 5\r\nTransfer-Encoding: identity\r\n"),
        (
            "length nominated away",
            "Connection: Content-Length\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        ),
        ("two encodings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("chunked, then identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
        ("identity, then chunked", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"),
        ("a second one with a space", "Transfer-Encoding: chunked\r\nTransfer-Encoding : x\r\n"),
        ("a folded encoding", "Transfer-Encoding:\r\n chunked\r\n"),
        ("folded with a tab", "Transfer-Encoding:\r\n\tchunked\r\n"),
        ("hidden behind a fold", "X: y\r\n Transfer-Encoding: chunked\r\n"),
        ("behind a lone CR", "X: y\rTransfer-Encoding: chunked\r\n"),
        ("behind a lone LF", "X: y\nTransfer-Encoding: chunked\r\n"),
        ("folded away", "Transfer-Encoding: chunked\r\n , identity\r\n"),
    ];
    cases.extend(both.map(|(name, fields)| refused(name, post(fields, &format!("0\r\n\r\n{NEXT}")))));
    cases.push(refused(
        "encoding in HTTP/1.0",
        format!("POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
    ));
    cases.push(forwarded(
        "an encoding by another name is none",
        post("X-Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "hello"),
        [arrives("POST /x").body("hello")],
    ));
    cases.push(forwarded(
        "an encoding with an underscore is not passed on",
        post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "hello"),
        [arrives("POST /x").body("hello").without("transfer_encoding")],
    ));
    cases
}

pub fn chunks() -> Vec<Case> {
    let post = |rest: &str| post("Transfer-Encoding: chunked\r\n", rest);
    let hello = || arrives("POST /x").body("hello");
    let long = "x".repeat(3000);
    let mut cases = vec![
        forwarded("two chunks", post("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), [hello()]),
        forwarded(
            "sizes in both cases",
            post("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"),
            [arrives("POST /x").body("01234567890123456789")],
        ),
        forwarded("zeros before the size", post("005\r\nhello\r\n000\r\n\r\n"), [hello()]),
        forwarded("an extension", post("5;name=value\r\nhello\r\n0;last\r\n\r\n"), [hello()]),
        forwarded("a quoted extension", post("5;n=\"a;b\"\r\nhello\r\n0\r\n\r\n"), [hello()]),
        forwarded(
            "a trailer is not merged",
            post("5\r\nhello\r\n0\r\nX-Late: y\r\n\r\n"),
            [hello().without("x-late")],
        ),
        forwarded(
            "forbidden trailers",
            post("5\r\nhello\r\n0\r\nContent-Length: 50\r\nHost: b\r\nTransfer-Encoding: x\r\n\r\n"),
            [hello().with("Host: a").without("content-length")],
        ),
        forwarded("an empty body", post("0\r\n\r\n"), [arrives("POST /x")]),
        forwarded(
            "the next request after the last chunk",
            post(&format!("5\r\nhello\r\n0\r\n\r\n{}", NEXT.replace("smuggled", "next"))),
            [hello(), arrives("GET /next")],
        ),
        forwarded(
            "a request inside a chunk is a body",
            post(&format!("{:x}\r\n{NEXT}\r\n0\r\n\r\n", NEXT.len())),
            [arrives("POST /x").body(NEXT)],
        ),
        forwarded(
            "CR LF 0 inside a chunk",
            post("7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"),
            [arrives("POST /x").body("\r\n0\r\n\r\n")],
        ),
        broken("no last chunk", post("5\r\nhello\r\n")).closing(),
        broken("half a chunk", post("a\r\nhello")).closing(),
        broken("no last line end", post("5\r\nhello\r\n0\r\n")).closing(),
        broken("half a last line end", post("5\r\nhello\r\n0\r\n\r")).closing(),
        broken("an extension without end", post(&format!("5;{}\r\nhello\r\n0\r\n\r\n", long.repeat(2)))),
        broken("a trailer without end", post(&format!("5\r\nhello\r\n0\r\nX: {}\r\n\r\n", long.repeat(4)))),
    ];
    let wrong = [
        ("a size that is none", "x\r\nhello\r\n0\r\n\r\n"),
        ("an empty size", "\r\nhello\r\n0\r\n\r\n"),
        ("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
        ("a signed size", "+5\r\nhello\r\n0\r\n\r\n"),
        ("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("a space before the size", " 5\r\nhello\r\n0\r\n\r\n"),
        ("a space after the size", "5 \r\nhello\r\n0\r\n\r\n"),
        ("a tab after the size", "5\t\r\nhello\r\n0\r\n\r\n"),
        ("a space in the size", "0 5\r\nhello\r\n0\r\n\r\n"),
        ("an underscore in the size", "0_5\r\nhello\r\n0\r\n\r\n"),
        ("17 digits", "00000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("a size that wraps", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("a size at the end of 64 bits", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("LF after the size", "5\nhello\r\n0\r\n\r\n"),
        ("CR after the size", "5\rhello\r\n0\r\n\r\n"),
        ("LF after the data", "5\r\nhello\n0\r\n\r\n"),
        ("CR after the data", "5\r\nhello\r0\r\n\r\n"),
        ("no end after the data", "5\r\nhello0\r\n\r\n"),
        ("more data than the size", "3\r\nhello\r\n0\r\n\r\n"),
        ("less data than the size", "6\r\nhello\r\n0\r\n\r\n"),
        ("LF after the last chunk", "5\r\nhello\r\n0\n\n"),
        ("LF for the last line end", "5\r\nhello\r\n0\r\n\n"),
        ("LF in an extension", "5;x\ny\r\nhello\r\n0\r\n\r\n"),
        ("CR in an extension", "5;x\ry\r\nhello\r\n0\r\n\r\n"),
        ("NUL in an extension", "5;x\0\r\nhello\r\n0\r\n\r\n"),
        ("NUL after the size", "5\0\r\nhello\r\n0\r\n\r\n"),
        ("VT after the size", "5\u{b}\r\nhello\r\n0\r\n\r\n"),
        ("a comma for the semicolon", "5,x\r\nhello\r\n0\r\n\r\n"),
        ("a second size in the line", "5;\r\nhello\r\n5 0\r\n\r\n"),
        ("a trailer that is folded", "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"),
        ("a trailer with a space before the colon", "5\r\nhello\r\n0\r\nX : y\r\n\r\n"),
        ("a trailer without a colon", "5\r\nhello\r\n0\r\nX\r\n\r\n"),
        ("a trailer with LF", "5\r\nhello\r\n0\r\nX: y\n\r\n"),
        ("a trailer with NUL", "5\r\nhello\r\n0\r\nX: \0\r\n\r\n"),
        ("a request for a trailer", "5\r\nhello\r\n0\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    cases.extend(wrong.map(|(name, rest)| broken(name, post(rest))));
    cases
}
