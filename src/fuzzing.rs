//! What must hold of any input, one function for each parser of ours: the targets of `fuzz/`.
//!
//! Each takes any bytes and panics where its property does not hold. They stand beside what they are
//! about, since the parsers are private, and must stay so. The cargo feature `fuzzing`, which only the
//! crate in `fuzz/` asks for, lets them out; it is a feature and not `cfg(fuzzing)` so that cargo keeps
//! both builds of the library apart. The unit tests run them over the whole corpus, so that what a fuzzer
//! once found stays mended without one.

pub use crate::admin::fuzzing::admin_json;
pub use crate::config::fuzzing::{config, values};
pub use crate::config::nginx::fuzzing::nginx_import;
pub use crate::core::signal::fuzzing::metrics_find;
pub use crate::fleet::etcd::fuzzing::etcd_answers;
pub use crate::health::fuzzing::grpc_health;
pub use crate::proxy::fuzzing::{access, forwarded, http1_head, http2_blocks, proxy_protocol, response_head};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    type Property = fn(&[u8]);

    const TARGETS: [(&str, Property); 13] = [
        ("access", super::access),
        ("admin_json", super::admin_json),
        ("config", super::config),
        ("etcd_answers", super::etcd_answers),
        ("forwarded", super::forwarded),
        ("grpc_health", super::grpc_health),
        ("http1_head", super::http1_head),
        ("response_head", super::response_head),
        ("http2_blocks", super::http2_blocks),
        ("metrics_find", super::metrics_find),
        ("nginx_import", super::nginx_import),
        ("proxy_protocol", super::proxy_protocol),
        ("values", super::values),
    ];

    fn files(folder: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = std::fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()).collect()
    }

    #[test]
    fn every_parser_has_its_target() {
        let names: BTreeSet<_> = TARGETS.iter().map(|(name, _)| format!("{name}.rs")).collect();
        let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(files("fuzz/fuzz_targets").iter().map(name).collect::<BTreeSet<_>>(), names);
    }

    /// What is run here is named with `--nocapture`, the last one being at fault.
    #[test]
    fn every_property_holds_of_the_corpus() {
        for (name, property) in TARGETS {
            let mut inputs = files(&format!("fuzz/corpus/{name}"));
            match name {
                "config" => inputs.extend(files("conf")),
                "nginx_import" => inputs.extend(files("tests/it/nginx")),
                _ => {}
            }
            assert!(inputs.len() >= 5, "{name}");
            for input in inputs {
                println!("{name} {}", input.display());
                property(&std::fs::read(input).expect("a file"));
            }
        }
    }
}
