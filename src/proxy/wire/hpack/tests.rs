use super::*;
use proptest::prelude::*;

const MOST: usize = 1 << 16;

fn read(reader: &mut HpackReader, block: &[u8]) -> Vec<(String, String)> {
    let list = reader.read(block, MOST).expect("a block");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    list.iter().map(|field| (text(field.name), text(field.value))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_requests_of_the_standard_are_read_with_their_table() {
    // RFC 7541, C.4: three requests on one connection, by Huffman's code.
    let mut reader = HpackReader::default();
    let first = [
        0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
    ];
    let common = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
    assert_eq!(read(&mut reader, &first), pairs(&common));
    let second = [0x82, 0x86, 0x84, 0xbe, 0x58, 0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf];
    assert_eq!(read(&mut reader, &second), pairs(&[&common[..], &[("cache-control", "no-cache")]].concat()));
    let third = [
        0x82, 0x87, 0x85, 0xbf, 0x40, 0x88, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f, 0x89, 0x25, 0xa8,
        0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf,
    ];
    let expected = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ];
    assert_eq!(read(&mut reader, &third), pairs(&expected));
    assert_eq!((reader.size, reader.table.len()), (164, 3));
}

#[test]
fn a_table_drops_its_oldest_entries_and_takes_no_larger_ones() {
    let mut reader = HpackReader::default();
    // To 80 bytes: one entry of 40 after the other.
    assert!(read(&mut reader, &[0x3f, 49]).is_empty());
    for name in [b'a', b'b', b'c'] {
        read(&mut reader, &[0x40, 4, name, name, name, name, 4, b'x', b'x', b'x', b'x']);
    }
    assert_eq!((reader.size, reader.table.len()), (80, 2));
    assert_eq!(read(&mut reader, &[0xbe, 0xbf]), pairs(&[("cccc", "xxxx"), ("bbbb", "xxxx")]));
    let mut large = vec![0x40, 4, b'd', b'd', b'd', b'd', 60];
    large.extend([b'y'; 60]);
    read(&mut reader, &large);
    assert_eq!((reader.size, reader.table.len()), (0, 0), "what does not fit empties it");
    assert_eq!(reader.read(&[0xbe], MOST).err(), Some(Broken));
}

#[test]
fn what_means_nothing_is_broken() {
    for block in [
        &[0x80][..],
        &[0xff, 0x80, 0x01],
        &[0x7f, 0x80, 0x01, 1, b'x'],
        &[0xff; 20],
        &[0x00, 5, b'x'],
        &[0x00, 1, b'x'],
        &[0x3f, 0xe2, 0x1f],
        &[0x82, 0x20],
        &[0x00, 0x81, 0x00, 1, b'x'],
    ] {
        assert_eq!(HpackReader::default().read(block, MOST).err(), Some(Broken), "{block:?}");
    }
}

#[test]
fn what_is_too_much_is_read_and_not_kept() {
    let mut reader = HpackReader::default();
    let mut block = vec![0x82, 0x40, 1, b'x', 100];
    block.extend([b'y'; 100]);
    block.extend([0xbe; 1000]);
    let list = reader.read(&block, 500).expect("a block");
    assert!(list.is_over_size() && list.len() < 6, "{}", list.len());
    assert_eq!(read(&mut reader, &[0xbe]).len(), 1, "the table is as it was");
}

proptest! {
    #[test]
    fn what_is_written_is_read(fields in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), prop::collection::vec(any::<u8>(), 0..200)), 0..10)) {
        let mut block = Vec::new();
        for (name, value) in &fields {
            write(Field { name, value, known: 0 }, &mut block);
        }
        let list = HpackReader::default().read(&block, MOST).expect("a block");
        let read: Vec<_> = list.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
        prop_assert_eq!(read, fields);
    }

    #[test]
    fn any_bytes_are_read_or_broken(block in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut reader = HpackReader::default();
        let _ = reader.read(&block, 1000);
        prop_assert!(reader.size <= TABLE);
    }
}
