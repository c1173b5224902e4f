//! Addresses, as `std` shows them.

use super::number::decimal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEX: &[u8; 16] = b"0123456789abcdef";

pub(super) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => v4(out, address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => {
                out.extend_from_slice(b"::ffff:");
                v4(out, address);
            }
            None => v6(out, address),
        },
    }
}

fn v4(out: &mut Vec<u8>, address: Ipv4Addr) {
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        decimal(out, octet);
    }
}

/// RFC 5952: the first of the longest runs of zeros, of two or more, is left out.
fn v6(out: &mut Vec<u8>, address: Ipv6Addr) {
    let groups = address.segments();
    let (start, length) = longest_zeros(&groups);
    let (before, after) = match length {
        0 | 1 => (&groups[..], None),
        _ => (groups.get(..start).unwrap_or_default(), groups.get(start + length..)),
    };
    hex_groups(out, before);
    if let Some(after) = after {
        out.extend_from_slice(b"::");
        hex_groups(out, after);
    }
}

/// Where it starts, and how many.
fn longest_zeros(groups: &[u16; 8]) -> (usize, usize) {
    let (mut longest, mut current) = ((0, 0), (0, 0));
    for (index, group) in groups.iter().enumerate() {
        current = match group {
            0 if current.1 > 0 => (current.0, current.1 + 1),
            0 => (index, 1),
            _ => (0, 0),
        };
        if current.1 > longest.1 {
            longest = current;
        }
    }
    longest
}

fn hex_groups(out: &mut Vec<u8>, groups: &[u16]) {
    for (index, group) in groups.iter().enumerate() {
        if index > 0 {
            out.push(b':');
        }
        let digits = group.checked_ilog2().map_or(1, |log| log / 4 + 1);
        out.extend((0..digits).rev().filter_map(|digit| HEX.get(usize::from(group >> (4 * digit) & 15))));
    }
}
