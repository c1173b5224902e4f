//! What all pictures of ours have in common: they stand alone, are legible on light and dark pages, and run no script.

/// The drawing within its margins.
pub const WIDTH: f64 = 860.0;
pub const LEFT: f64 = 84.0;
pub const INNER: f64 = 760.0;
/// Characters that fit on a line.
const FITS: usize = 118;

/// Plain colours first, for what draws SVG without variables or media queries; browsers know both.
const STYLE: &str = "\
    text { font: 12px system-ui, sans-serif; fill: #1c2024 } text.faint { fill: #6b737b }\n\
    text.title { font-weight: bold } .paper { fill: #ffffff } .bad { fill: #c62828 } .hold { fill: #ef9a00; opacity: .25 }\n\
    .proof { fill: none; stroke: #1565c0; stroke-width: 1.5 } .axis { stroke: #8b929a; fill: none }\n\
    .limit { stroke: #1c2024; stroke-dasharray: 4 3 } .abort { stroke: #c62828; stroke-width: 2 }\n\
    .stable { fill: none; stroke: #6b737b; stroke-width: 1.5 } .done { stroke: #2e7d32; stroke-width: 2 }\n\
    .gate { fill: #1565c0; opacity: .18 } .mark { stroke: #8b929a; stroke-dasharray: 2 3 }\n\
    @media (prefers-color-scheme: dark) {\n\
    text { fill: #e6e8ea } text.faint { fill: #9aa2aa } .paper { fill: #15181b } .bad { fill: #ff6b6b }\n\
    .hold { fill: #ffca28 } .proof { stroke: #64b5f6 } .axis { stroke: #868e96 } .limit { stroke: #e6e8ea }\n\
    .abort { stroke: #ff6b6b } .stable { stroke: #9aa2aa } .done { stroke: #81c784 } .gate { fill: #64b5f6 }\n\
    .mark { stroke: #868e96 } }\n";

/// The beginning of a picture, with its title in its first line.
pub fn head(title: &str, height: f64) -> String {
    let title = escaped(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{title}\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"26\">{title}</text>\n"
    )
}

/// A line of text that is cut to the width; the whole of it is shown where somebody points at it.
pub fn line(text: &str, y: f64) -> String {
    let short: String = text.chars().take(FITS).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    let (short, text) = (escaped(&short), escaped(text));
    format!("<text class=\"faint\" x=\"{LEFT}\" y=\"{y}\">{short}{more}<title>{text}</title></text>\n")
}

/// A panel's axis with the words beside it, from the top down.
pub fn axis(floor: f64, height: f64, top: &str, name: &str) -> String {
    let (ceiling, right) = (floor - height, LEFT + INNER);
    let words = [(ceiling + 4.0, top), (ceiling + height / 2.0, name), (floor, "0")];
    let words = words.map(|(y, words)| label(words, y));
    format!("<path class=\"axis\" d=\"M{LEFT} {ceiling} V{floor} H{right}\"/>\n{}", words.concat())
}

/// A word to the left of the drawing.
pub fn label(word: &str, y: f64) -> String {
    let right = LEFT - 8.0;
    format!("<text x=\"{right}\" y=\"{y}\" text-anchor=\"end\">{}</text>\n", escaped(word))
}

/// When what is drawn begins and ends, below it.
pub fn times(began: &str, ended: &str, y: f64) -> String {
    let (began, ended, right) = (escaped(began), escaped(ended), LEFT + INNER);
    format!(
        "<text class=\"faint\" x=\"{LEFT}\" y=\"{y}\">{began}</text>\n\
         <text class=\"faint\" x=\"{right}\" y=\"{y}\" text-anchor=\"end\">{ended}</text>\n"
    )
}

/// A text that is nothing but text, within an element or an attribute; what XML does not allow is left out.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{FFFE}' | '\u{FFFF}') => (),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_texts() {
        assert_eq!(
            escaped("<a b='c' \"d\"> & \u{1b}[2J\u{FFFF}"),
            "&lt;a b=&#39;c&#39; &quot;d&quot;&gt; &amp; [2J"
        );
        let long = line(&"<".repeat(200), 1.0);
        assert!(long.contains('…') && !long.contains("<<"), "{long}");
    }
}
