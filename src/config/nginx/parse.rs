//! One file → its directives.
//!
//! Our own, small: `nginx-lint-parser` loses the dollar signs of arguments, splits `${name}` off its
//! word, and overflows the stack on deeply nested braces. This one has no recursion.

use super::SyntaxError;
use super::lex::{Lexer, Token};
use super::tree::{Directive, Place};
use std::rc::Rc;

/// Blocks in blocks; nginx itself has four or five.
const MAX_DEPTH: usize = 64;

/// # Errors
/// The first thing that nginx would refuse, too.
pub(super) fn parse(text: &str, file: &str) -> Result<Vec<Directive>, SyntaxError> {
    let mut lexer = Lexer::new(text, file);
    let name: Rc<str> = file.into();
    // Directives of the blocks that are open, the file itself first; with the one each belongs to.
    let mut open: Vec<(Option<Directive>, Vec<Directive>)> = vec![(None, Vec::new())];
    let mut words: Option<Directive> = None;
    loop {
        lexer.skip_space();
        let place = Place { file: name.clone(), line: lexer.line, column: lexer.column };
        let begins = lexer.error("");
        let fail = |detail: &str| Err(SyntaxError { detail: detail.to_owned(), ..begins.clone() });
        match (lexer.next()?, &mut words) {
            (Some(Token::Word(word)), Some(directive)) => directive.args.push(word),
            (Some(Token::Word(word)), None) => words = Some(begin(word, place)),
            (Some(Token::End), directive) => match directive.take() {
                Some(directive) => push(&mut open, directive),
                None => return fail("unexpected \";\""),
            },
            (Some(Token::Open), directive) => match directive.take() {
                Some(mut directive) if directive.name.ends_with("_by_lua_block") => {
                    lexer.skip_code()?;
                    directive.is_code = true;
                    push(&mut open, directive);
                }
                Some(_) if open.len() > MAX_DEPTH => return fail("too many blocks in blocks"),
                Some(directive) => open.push((Some(directive), Vec::new())),
                None => return fail("unexpected \"{\""),
            },
            (Some(Token::Close), None) => match open.pop() {
                Some((Some(mut directive), block)) => {
                    directive.block = Some(block);
                    push(&mut open, directive);
                }
                _ => return fail("unexpected \"}\""),
            },
            (Some(Token::Close), Some(_)) => {
                return fail("unexpected \"}\"; the directive before lacks its \";\"");
            }
            (None, Some(_)) => return fail("unexpected end of file; the last directive lacks its \";\""),
            (None, None) => break,
        }
    }
    match open.pop() {
        Some((None, directives)) => Ok(directives),
        Some((Some(unclosed), _)) => Err(SyntaxError {
            file: file.to_owned(),
            line: unclosed.place.line,
            column: unclosed.place.column,
            detail: format!("the block of {} is not closed; add \"}}\"", unclosed.name),
        }),
        None => Ok(Vec::new()),
    }
}

fn begin(name: String, place: Place) -> Directive {
    Directive { id: 0, name, args: Vec::new(), place, block: None, is_code: false }
}

fn push(open: &mut [(Option<Directive>, Vec<Directive>)], directive: Directive) {
    if let Some((_, directives)) = open.last_mut() {
        directives.push(directive);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn args(text: &str) -> Vec<String> {
        parse(text, "f").expect("directives").remove(0).args
    }

    #[test]
    fn words_are_cut_as_nginx_cuts_them() {
        assert_eq!(args(r#"x a\;b "c d" 'it''s' ;"#.replace("''", r"\'").as_str()), ["a\\;b", "c d", "it's"]);
        assert_eq!(args("return 200 'healthy\\n';"), ["200", "healthy\n"]);
        assert_eq!(args("x ${a}b$c;"), ["${a}b$c"]);
        assert_eq!(args(r"location ~ \.php$ {}"), ["~", r"\.php$"]);
        assert_eq!(args("if ($a ~* \"x{2}\") {}"), ["($a", "~*", "x{2}", ")"]);
        assert_eq!(args("x a\"b;# comment ; {\n"), ["a\"b"]);
        assert_eq!(args("x 'a\nb'\n c;"), ["a\nb", "c"]);
    }

    #[test]
    fn code_is_skipped_whole() {
        let text = "content_by_lua_block { local a = \"}\" -- }\n if x then { } end } y;";
        let names: Vec<_> = parse(text, "f").expect("directives").into_iter().map(|d| d.name).collect();
        assert_eq!(names, ["content_by_lua_block", "y"]);
    }

    #[test]
    fn errors_have_their_place() {
        for (text, line, column, says) in [
            ("a b;\n  c", 2, 4, "lacks its"),
            ("a {\n b;", 1, 1, "not closed"),
            ("a;\n}", 2, 1, "unexpected \"}\""),
            ("a { b }", 1, 7, "lacks its"),
            ("a \"b", 1, 3, "not closed"),
            ("a 'b'c;", 1, 6, "after a quote"),
            (";", 1, 1, "unexpected \";\""),
        ] {
            let error = parse(text, "f").expect_err(text);
            assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
            assert!(error.detail.contains(says), "{text}: {error}");
        }
        let deep = "a {".repeat(100_000);
        assert!(parse(&deep, "f").expect_err("deep").detail.contains("too many"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"[a-z$\\{};"' \n#]{0,60}|\PC{0,40}"#) {
            let _ = parse(&text, "f");
        }
    }
}
