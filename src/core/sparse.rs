//! Arrays of counters as they are stored: only the places that are not zero, each with its number.
//!
//! A histogram has two hundred buckets, of which a service fills twenty.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// As pairs of place and count: `[[3, 17], [12, 1]]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer, const N: usize>(counts: &[u64; N], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(counts.iter().enumerate().filter(|(_, count)| **count > 0))
}

/// # Errors
/// Of a place that the array does not have, and those of the deserializer.
pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u64; N], D::Error> {
    let mut counts = [0; N];
    for (place, count) in Vec::<(usize, u64)>::deserialize(deserializer)? {
        let slot = counts.get_mut(place);
        *slot.ok_or_else(|| D::Error::custom(format!("there is no place {place} among {N} counters")))? =
            count;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Counters(#[serde(with = "super")] [u64; 40]);

    #[test]
    fn zeros_take_no_room_and_a_foreign_place_is_refused() {
        let mut counters = Counters([0; 40]);
        (counters.0[3], counters.0[39]) = (17, 1);
        let text = serde_json::to_string(&counters).expect("JSON");
        assert_eq!(text, "[[3,17],[39,1]]");
        assert_eq!(serde_json::from_str::<Counters>(&text).expect("the same"), counters);
        let error = serde_json::from_str::<Counters>("[[40,1]]").expect_err("one too many").to_string();
        assert!(error.contains("no place 40 among 40"), "{error}");
    }
}
