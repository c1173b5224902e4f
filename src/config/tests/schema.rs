//! The JSON Schema of the configuration, made of what the reader takes and of the descriptions.

use super::samples::{described, document, learned, named, resolved};
use super::*;
use crate::config::keys::{LeftOut, PAGES, find};
use crate::config::reader::learned::ValueKind;
use serde_json::{Map, Value, json};
use std::ops::Bound;

const FILE: &str = "docs/pointsman.schema.json";

/// The schema, as the file holds it.
fn schema() -> Value {
    let variable = json!({
        "description": "Holds a `${VARIABLE}` of the environment.",
        "type": "string",
        "pattern": "\\$\\{[^}]+\\}"
    });
    let text = |words: &str, pattern: &str, examples: Value| {
        let pattern = format!("^{pattern}$|\\$\\{{[^}}]+\\}}");
        json!({ "description": words, "type": "string", "pattern": pattern, "examples": examples })
    };
    let number = "\\s*\\+?([0-9]+\\.?[0-9]*|\\.[0-9]+)\\s*";
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The configuration of Pointsman",
    });
    let Value::Object(of_file) = node("") else { panic!("a table") };
    let object = schema.as_object_mut().expect("an object");
    object.extend(of_file);
    let mut definitions = json!({
        "variable": variable,
        "duration": text("A duration.", &format!("{number}(ms|s|m|h|d)"), json!(["250ms", "10s", "5m", "1h", "7d"])),
        "size": text("Bytes, in powers of 1024.", "\\+?[0-9]+[kKmMgG]?", json!(["512", "32k", "100M", "1G"])),
        "share": text("A percentage.", &format!("{number}%\\s*"), json!(["0.5%", "20%"])),
    });
    for places in PAGES.iter().flat_map(|page| page.tables).filter_map(|table| shared(table.places.first()?))
    {
        let forms: Vec<Value> = places.iter().map(|place| properties(place)).collect();
        assert!(forms.windows(2).all(|pair| pair[0] == pair[1]), "{places:?} are read alike");
        definitions[defined_as(places)] = forms[0].clone();
    }
    object.insert("$defs".to_owned(), definitions);
    schema
}

/// What may stand at a path.
fn node(path: &str) -> Value {
    let no_kinds = Vec::new();
    let kinds = if path.is_empty() {
        &[ValueKind::Table][..]
    } else {
        learned().kinds.get(path).unwrap_or(&no_kinds)
    };
    let mut forms: Vec<Value> = Vec::new();
    for form in kinds.iter().flat_map(|kind| forms_of(path, kind)) {
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    let mut node = match forms.as_slice() {
        [Value::Object(one)] => one.clone(),
        _ => Map::from_iter([("anyOf".to_owned(), Value::Array(forms))]),
    };
    let Some(key) = find(path) else { return Value::Object(node) };
    node.insert("description".to_owned(), words(key.about, kinds, &key.left_out).into());
    if let LeftOut::Default(default) = key.left_out {
        node.insert("default".to_owned(), json_of(default));
    }
    node.insert("examples".to_owned(), key.examples.iter().map(|example| json_of(example)).collect());
    Value::Object(node)
}

/// What a schema cannot say of texts stands in their description.
fn words(about: &str, kinds: &[ValueKind], left_out: &LeftOut) -> String {
    let ranges = kinds.iter().filter(|kind| kind.of_toml() == "string").filter_map(reference::range);
    let mut words = about.to_owned();
    ranges.for_each(|range| words.push_str(&format!(" From {range}.")));
    if let LeftOut::Otherwise(otherwise) = left_out {
        words.push_str(&format!(" Left out: {otherwise}."));
    }
    words
}

fn forms_of(path: &str, kind: &ValueKind) -> Vec<Value> {
    let defined = |name: &str| json!({ "$ref": format!("#/$defs/{name}") });
    match kind {
        ValueKind::Bool => vec![json!({ "type": "boolean" })],
        ValueKind::Integer { least, most } => {
            vec![json!({ "type": "integer", "minimum": least, "maximum": most })]
        }
        ValueKind::Number { least, most } => vec![number(*least, *most)],
        ValueKind::Text | ValueKind::File | ValueKind::Variable => vec![json!({ "type": "string" })],
        ValueKind::Duration { .. } => vec![defined("duration")],
        ValueKind::Size { .. } => vec![defined("size")],
        ValueKind::Share { .. } => vec![defined("share")],
        ValueKind::Choice(words) => vec![json!({ "enum": words }), defined("variable")],
        ValueKind::Array => vec![json!({ "type": "array", "items": node(&format!("{path}[]")) })],
        ValueKind::Table => vec![table(path)],
    }
}

fn number(least: Bound<f64>, most: Bound<f64>) -> Value {
    let mut form = json!({ "type": "number" });
    let bounds = [(least, "minimum", "exclusiveMinimum"), (most, "maximum", "exclusiveMaximum")];
    for (bound, with, without) in bounds {
        match bound {
            Bound::Included(bound) => form[with] = bound.into(),
            Bound::Excluded(bound) => form[without] = bound.into(),
            Bound::Unbounded => {}
        }
    }
    form
}

fn table(path: &str) -> Value {
    shared(path).map_or_else(
        || properties(path),
        |places| json!({ "$ref": format!("#/$defs/{}", defined_as(places)) }),
    )
}

/// The places of a table that may stand in several, all of its keys in each.
fn shared(path: &str) -> Option<&'static [&'static str]> {
    let tables_of = |path: &str| -> Vec<&'static [&'static str]> {
        let tables = PAGES.iter().flat_map(|page| page.tables);
        tables.map(|table| table.places).filter(|places| places.contains(&path)).collect()
    };
    let [places] = tables_of(path)[..] else { return None };
    (places.len() > 1 && places.iter().all(|place| tables_of(place).len() == 1)).then_some(places)
}

fn defined_as(places: &[&str]) -> String {
    places.first().expect("a place").replace("[]", "").replace("*.", "")
}

fn properties(path: &str) -> Value {
    if learned().named.contains(path) {
        return json!({ "type": "object", "additionalProperties": node(&format!("{path}.*")) });
    }
    let tables = PAGES.iter().flat_map(|page| page.tables).filter(|table| table.places.contains(&path));
    let names: Vec<&str> = tables.flat_map(|table| table.keys).map(|key| key.name).collect();
    let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let properties: Map<_, _> = names.iter().map(|name| ((*name).to_owned(), node(&inner(name)))).collect();
    let required: Vec<_> = names.iter().filter(|name| learned().is_needed(&inner(name))).collect();
    let mut form = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        form["required"] = json!(required);
    }
    form
}

fn json_of(value: &str) -> Value {
    let document: Value = toml::from_str(&format!("value = {value}")).expect("TOML");
    document["value"].clone()
}

#[test]
fn the_schema_is_current() {
    let text = serde_json::to_string_pretty(&schema()).expect("JSON") + "\n";
    reference::is_current(FILE, &text);
    assert!(
        text == crate::config::SCHEMA || reference::is_written(),
        "the binary prints what the file holds"
    );
}

/// Validates TOML.
struct Validator {
    schemas: boon::Schemas,
    index: boon::SchemaIndex,
}

impl Validator {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        let place = "https://pointsman.example/schema.json";
        compiler.add_resource(place, schema()).expect("a schema");
        let index = compiler.compile(place, &mut schemas).expect("a schema of the draft of 2020-12");
        Validator { schemas, index }
    }

    fn validate(&self, text: &str) -> Result<(), String> {
        let document: Value = toml::from_str(text).expect("TOML");
        self.schemas.validate(&document, self.index).map_err(|error| error.to_string())
    }
}

#[test]
fn the_schema_accepts_what_the_reader_accepts() {
    let validator = Validator::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for folder in ["conf", "conf/docker", "conf/compose", "conf/compose-fleet"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path).expect("a file");
                validator.validate(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                seen += 1;
            }
        }
    }
    assert!(seen > 3, "{seen}");
    for (path, key) in described() {
        let defaults = if let LeftOut::Default(default) = key.left_out { vec![default] } else { Vec::new() };
        for value in key.examples.iter().chain(&defaults) {
            let text = document(&path, Some(value));
            // What needs other keys beside it may be refused by both.
            if let Err(error) = validator.validate(&text) {
                assert!(resolved(&text).is_err(), "{path} = {value}: {error}\n{text}");
            }
        }
    }
}

/// A value of a kind that no key takes.
const NONSENSE: &str = "[[[true]]]";

/// Values that are wrong for a key that takes these kinds alone.
fn wrong(kinds: &[ValueKind]) -> Vec<String> {
    let [kind] = kinds else { return vec![NONSENSE.to_owned()] };
    let mut wrong = vec![NONSENSE.to_owned()];
    match kind {
        ValueKind::Integer { least, most } => {
            wrong.extend([format!("{}", most + 1), "\"many\"".to_owned(), "0.5".to_owned()]);
            wrong.extend(least.checked_sub(1).map(|less| less.to_string()));
        }
        ValueKind::Number { least, most } => {
            wrong.push("\"many\"".to_owned());
            let past = |bound: &Bound<f64>, by: f64| match bound {
                Bound::Included(bound) => Some(format!("{:?}", bound + by)),
                Bound::Excluded(bound) => Some(format!("{bound:?}")),
                Bound::Unbounded => None,
            };
            wrong.extend(past(least, -0.5).into_iter().chain(past(most, 0.5)));
        }
        ValueKind::Bool => wrong.push("\"yes\"".to_owned()),
        ValueKind::Choice(_) => wrong.extend(["\"neither\"".to_owned(), "5".to_owned()]),
        ValueKind::Duration { .. } => {
            wrong.extend(["\"soon\"".to_owned(), "5".to_owned(), "\"5\"".to_owned()])
        }
        ValueKind::Size { .. } => wrong.extend(["\"much\"".to_owned(), "5".to_owned()]),
        ValueKind::Share { .. } => wrong.extend(["\"5\"".to_owned(), "0.5".to_owned()]),
        ValueKind::Text | ValueKind::File | ValueKind::Variable => wrong.push("5".to_owned()),
        ValueKind::Array | ValueKind::Table => wrong.extend(["5".to_owned(), "\"none\"".to_owned()]),
    }
    wrong
}

/// As faults name the path, up to an element of a list.
fn shown(path: &str) -> String {
    named(path).replace("[]", "[0]")
}

#[test]
fn the_schema_and_the_reader_refuse_the_same() {
    let validator = Validator::new();
    let mut seen = 0;
    let mut refused = |text: &str, what: &str| {
        seen += 1;
        let faults = resolved(text).err().unwrap_or_else(|| panic!("the reader accepts {what}\n{text}"));
        assert!(validator.validate(text).is_err(), "the schema accepts {what}\n{text}");
        faults.to_string()
    };
    for (path, _) in described().into_iter().filter(|(path, _)| !path.ends_with(".*")) {
        for value in wrong(&learned().kinds[&path]) {
            let faults = refused(&document(&path, Some(&value)), &format!("{path} = {value}"));
            let shows = |line: &str| line.contains("write") || line.contains("for example");
            let place = format!(" {}", shown(&path));
            let is_shown = faults.lines().any(|line| line.contains(&place) && shows(line));
            assert!(is_shown, "{path} = {value} shows no example: {faults}");
        }
        if learned().is_needed(&path) && !path.starts_with("services.*.pools") {
            refused(&document(&path, None), &format!("{path} left out"));
        }
        let (table, _) = path.rsplit_once('.').unwrap_or_default();
        let unknown = if table.is_empty() { "unheard_of".to_owned() } else { format!("{table}.unheard_of") };
        let faults = refused(&document(&unknown, Some("1")), &unknown);
        assert!(faults.contains("unheard_of: unknown key; "), "{unknown}: {faults}");
    }
    assert!(seen > 1000, "{seen}");
}
