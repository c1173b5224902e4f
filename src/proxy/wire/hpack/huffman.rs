//! Huffman's code of HPACK (RFC 7541, 5.2 and B), read four bits at a time.

use super::Broken;
use std::sync::LazyLock;

/// Bits of each symbol's code, the end's last. The codes themselves follow from them: they count upwards, the
/// shorter ones first, and of one length in the order of the symbols.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26, 30,
];
const END: u16 = 256;
/// In a node: what follows is no node, but a symbol.
const IS_SYMBOL: u16 = 0x8000;

/// What four more bits lead to from a place in the code.
#[derive(Clone, Copy, Default)]
struct Step {
    next: u16,
    symbol: Option<u8>,
    is_broken: bool,
}

struct Machine {
    steps: Vec<[Step; 16]>,
    /// Whether a text may end at a place: after less than a byte of ones.
    may_end: Vec<bool>,
}

static MACHINE: LazyLock<Machine> = LazyLock::new(Machine::new);

/// Appends the text that a code stands for.
///
/// # Errors
/// [`Broken`] where it stands for none.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let mut at = 0_u16;
    for byte in coded {
        for bits in [byte >> 4, byte & 15] {
            let steps = MACHINE.steps.get(usize::from(at)).ok_or(Broken)?;
            let step = steps.get(usize::from(bits)).ok_or(Broken)?;
            if step.is_broken {
                return Err(Broken);
            }
            out.extend(step.symbol);
            at = step.next;
        }
    }
    MACHINE.may_end.get(usize::from(at)).is_some_and(|may_end| *may_end).then_some(()).ok_or(Broken)
}

impl Machine {
    fn new() -> Self {
        let (nodes, may_end) = tree();
        let step = |node: u16, bits: u8| {
            let mut step = Step { next: node, ..Step::default() };
            for bit in (0..4).rev().map(|shift| usize::from(bits >> shift & 1)) {
                let next =
                    nodes.get(usize::from(step.next)).and_then(|node| node.get(bit)).copied().unwrap_or(0);
                if next & IS_SYMBOL == 0 {
                    step.next = next;
                    continue;
                }
                let symbol = next & !IS_SYMBOL;
                step.is_broken |= symbol == END;
                // No code is shorter than five bits: there is one at most.
                step.symbol = u8::try_from(symbol).ok();
                step.next = 0;
            }
            step
        };
        let count = u16::try_from(nodes.len()).unwrap_or(0);
        let steps = (0..count).map(|node| std::array::from_fn(|bits| step(node, bits as u8))).collect();
        Machine { steps, may_end }
    }
}

/// The nodes of the code, and whether a text may end at each.
fn tree() -> (Vec<[u16; 2]>, Vec<bool>) {
    let mut order: Vec<u16> = (0..=END).collect();
    let length = |symbol: u16| LENGTHS.get(usize::from(symbol)).copied().map_or(0, u32::from);
    order.sort_by_key(|symbol| length(*symbol));
    let (mut nodes, mut may_end) = (vec![[0_u16; 2]], vec![true]);
    let (mut code, mut before) = (0_u32, 0);
    for symbol in order {
        let bits = length(symbol);
        code <<= bits - before;
        before = bits;
        let mut at = 0_usize;
        for depth in 1..=bits {
            let bit = (code >> (bits - depth) & 1) as usize;
            let fresh = u16::try_from(nodes.len()).unwrap_or(0);
            let Some(next) = nodes.get_mut(at).and_then(|node| node.get_mut(bit)) else { break };
            if depth == bits {
                *next = IS_SYMBOL | symbol;
            } else if *next == 0 {
                *next = fresh;
                at = usize::from(fresh);
                nodes.push([0; 2]);
                let ones = code >> (bits - depth) == (1 << depth) - 1;
                may_end.push(ones && depth < 8);
            } else {
                at = usize::from(*next);
            }
        }
        code += 1;
    }
    (nodes, may_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(coded: &[u8]) -> Result<String, Broken> {
        let mut out = Vec::new();
        decode(coded, &mut out).map(|()| String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 7541, C.4 and C.6.
        let examples: [(&[u8], &str); 5] = [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf], "custom-value"),
            (&[0x64, 0x02], "302"),
            (&[], ""),
        ];
        for (coded, text) in examples {
            assert_eq!(decoded(coded).as_deref(), Ok(text));
        }
    }

    #[test]
    fn every_symbol_is_read_and_the_end_is_none() {
        let mut order: Vec<usize> = (0..=256).collect();
        order.sort_by_key(|symbol| LENGTHS[*symbol]);
        let (mut code, mut before) = (0_u64, 0);
        for symbol in order {
            let bits = u32::from(LENGTHS[symbol]);
            code <<= bits - before;
            before = bits;
            // Filled up with ones.
            let fill = (8 - bits % 8) % 8;
            let filled = (code << fill | ((1 << fill) - 1)).to_be_bytes();
            let coded = &filled[8 - (bits + fill) as usize / 8..];
            let mut out = Vec::new();
            match u8::try_from(symbol) {
                Ok(symbol) => assert_eq!((decode(coded, &mut out), &out[..]), (Ok(()), &[symbol][..])),
                Err(_) => assert_eq!(decode(coded, &mut out), Err(Broken)),
            }
            code += 1;
        }
    }

    #[test]
    fn a_wrong_end_is_broken() {
        assert_eq!(decoded(&[0x18]), Err(Broken), "filled up with zeros");
        assert_eq!(decoded(&[0x64, 0x02, 0xff]), Err(Broken), "a whole byte of ones");
        assert_eq!(decoded(&[0xff; 4]), Err(Broken), "the end itself");
    }
}
