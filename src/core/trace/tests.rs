//! What is read of a `traceparent`, and what is written.

use super::*;
use proptest::prelude::*;

const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const ID: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

fn text(context: &TraceContext) -> String {
    String::from_utf8_lossy(context.text()).into_owned()
}

#[test]
fn a_trace_begins_with_a_span_of_its_own() {
    let mut context = TraceContext::begin(&ID, 0x89ab_cdef_0123_4567, true);
    assert_eq!(text(&context), "00-0123456789abcdef0123456789abcdef-89abcdef01234501-01");
    assert_eq!((context.id(), context.parent(), context.is_sampled()), (&ID, None, true));
    context.attempt(0x2f);
    assert_eq!(text(&context), "00-0123456789abcdef0123456789abcdef-89abcdef0123452f-01");
    assert_eq!(&context.span(0), b"89abcdef01234500");
    let quiet = TraceContext::begin(&ID, 0, false);
    assert_eq!(text(&quiet), "00-0123456789abcdef0123456789abcdef-0000000000000001-00");
    assert!(!quiet.is_sampled());
}

#[test]
fn a_trace_goes_on_under_a_new_parent() {
    let context = TraceContext::go_on(SENT.as_bytes(), 7 << 32).expect("legal");
    assert_eq!(text(&context), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000700000001-01");
    assert_eq!(context.parent(), Some(b"00f067aa0ba902b7"));
    for (sent, flags) in [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "00"),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", "01"),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe", "00"),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "01"),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes", "01"),
    ] {
        let context = TraceContext::go_on(sent.as_bytes(), 0).expect("legal");
        let expected = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-{flags}");
        assert_eq!(text(&context), expected, "{sent}");
    }
}

#[test]
fn what_is_no_traceparent_says_nothing() {
    for sent in [
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        assert_eq!(TraceContext::go_on(sent.as_bytes(), 0), None, "{sent}");
    }
}

#[test]
fn samples_are_as_many_as_was_asked_for() {
    let tracing = |sampled| Tracing { sampled, ..Tracing::default() };
    assert!(tracing(Tracing::ALL).samples(u64::MAX) && !tracing(0).samples(0));
    let tenth = tracing(Tracing::ALL / 10);
    let draws = (0..1000u64).map(|n| n * (u64::MAX / 1000));
    assert_eq!(draws.filter(|draw| tenth.samples(*draw)).count(), 100);
}

proptest! {
    #[test]
    fn whatever_is_sent_what_goes_on_is_legal(sent: Vec<u8>, draw: u64) {
        if let Some(context) = TraceContext::go_on(&sent, draw) {
            prop_assert_eq!(TraceContext::go_on(context.text(), 1).map(|again| again.id().to_vec()), Some(context.id().to_vec()));
        }
    }

    #[test]
    fn ids_are_written_as_std_writes_them(draw: u64, number in 1u8..) {
        let context = TraceContext::begin(&ID, draw, true);
        let expected = format!("{:016x}", draw & !0xff | u64::from(number));
        let span = context.span(number);
        prop_assert_eq!(String::from_utf8_lossy(&span), expected);
    }
}
