//! Text in columns. Escape sequences take none.

use crate::style::{Ink, Style};
use unicode_width::UnicodeWidthChar as _;

/// A character, or a whole escape sequence.
enum Piece<'a> {
    Char(char),
    Escape(&'a str),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let len = if first == '\x1b' { escape_len(rest) } else { first.len_utf8() };
        let (piece, after) = rest.split_at(len);
        rest = after;
        Some(if first == '\x1b' { Piece::Escape(piece) } else { Piece::Char(first) })
    })
}

/// The length of the escape sequence that the text starts with: `ESC [ ... letter`, `ESC ] ... BEL` or `ESC ] ... ESC \`.
fn escape_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.get(1) {
        Some(b'[') => match bytes[2..].iter().position(|byte| (0x40..=0x7e).contains(byte)) {
            Some(end) => end + 3,
            None => bytes.len(),
        },
        Some(b']') => {
            let bell = text.find('\x07').map(|at| at + 1);
            let stop = text[2..].find("\x1b\\").map(|at| at + 4);
            [bell, stop].into_iter().flatten().min().unwrap_or(bytes.len())
        }
        // Two characters; the second may be longer than a byte.
        Some(_) => 1 + text[1..].chars().next().map_or(0, char::len_utf8),
        None => 1,
    }
}

/// Columns.
pub(crate) fn width(text: &str) -> usize {
    pieces(text).map(|piece| if let Piece::Char(c) = piece { c.width().unwrap_or(0) } else { 0 }).sum()
}

/// The text without escape sequences and control characters: safe to show, whatever wrote it.
pub(crate) fn without_escapes(text: &str) -> String {
    pieces(text)
        .filter_map(|piece| match piece {
            Piece::Char('\t') => Some("    ".to_owned()),
            Piece::Char(c) if c == '\n' || !c.is_control() => Some(c.to_string()),
            _ => None,
        })
        .collect()
}

/// In ASCII, where the terminal shows no more.
pub(crate) fn plain(text: &str, style: Style) -> String {
    if style.unicode || text.is_ascii() {
        return text.to_owned();
    }
    text.chars()
        .map(|c| match c {
            _ if c.is_ascii() => c.to_string(),
            '‘' | '’' => String::from("'"),
            '“' | '”' => String::from("\""),
            '–' | '—' | '─' | '−' => String::from("-"),
            '…' => String::from("..."),
            '→' => String::from("->"),
            '×' => String::from("x"),
            '·' | '•' => String::from("*"),
            '≤' => String::from("<="),
            '≥' => String::from(">="),
            ' ' => String::from(" "),
            'µ' => String::from("u"),
            _ => String::from("?"),
        })
        .collect()
}

/// Cut to a width. Escape sequences stay, so that colours end.
pub(crate) fn clip(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for piece in pieces(text) {
        match piece {
            Piece::Escape(escape) => out.push_str(escape),
            Piece::Char(c) => {
                let columns = c.width().unwrap_or(0);
                if used + columns <= width {
                    out.push(c);
                    used += columns;
                } else {
                    used = width;
                }
            }
        }
    }
    out
}

/// [`clip`], with dots in the place of what is cut.
pub(crate) fn cut(text: &str, columns: usize, style: Style) -> String {
    let dots = style.glyph("…", "..");
    if width(text) <= columns {
        return text.to_owned();
    }
    match columns.checked_sub(width(dots)) {
        Some(room) => clip(text, room) + dots,
        None => clip(text, columns),
    }
}

/// Broken wherever the width ends, colours carried over: for what a program printed.
pub(crate) fn fold(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    // The sequences since the last reset.
    let mut active = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Escape(escape) => {
                line.push_str(escape);
                if escape == "\x1b[0m" {
                    active.clear();
                } else {
                    active.push_str(escape);
                }
            }
            Piece::Char(c) => {
                let columns = c.width().unwrap_or(0);
                if used + columns > width && used > 0 {
                    if !active.is_empty() {
                        line.push_str("\x1b[0m");
                    }
                    lines.push(std::mem::replace(&mut line, active.clone()));
                    used = 0;
                }
                line.push(c);
                used += columns;
            }
        }
    }
    lines.push(line);
    lines
}

/// A line of code: its end goes on below, indented, where it is too long; a comment's end is a comment.
pub(crate) fn fold_code(line: &str, columns: usize) -> Vec<String> {
    let code = line.trim_start();
    let indent = " ".repeat(line.len() - code.len());
    let lead = ["//! ", "/// ", "// "].into_iter().find(|lead| code.starts_with(lead)).unwrap_or("    ");
    // Without room for the indentation it is given up.
    let lead = if width(&indent) + 20 < columns { format!("{indent}{lead}") } else { String::new() };
    let mut lines: Vec<String> = Vec::new();
    let mut rest = line.to_owned();
    while width(&rest) > columns {
        let head = clip(&rest, columns);
        let hard = head.len().max(rest.chars().next().map_or(1, char::len_utf8));
        let ends_well = rest[head.len()..].starts_with(' ') && !head.is_empty();
        let space = if ends_well { Some(head.len()) } else { head.rfind(' ') };
        let at = space.filter(|at| *at > width(&lead) + 4).unwrap_or(hard);
        let tail = rest.split_off(at);
        lines.push(rest.trim_end().to_owned());
        if tail.trim_start().is_empty() {
            return lines;
        }
        rest = format!("{lead}{}", tail.trim_start());
    }
    lines.push(rest);
    lines
}

/// Wrapped between words, `first` before the first line and as many spaces before the others; what stands between
/// backticks is set as code, and kept together where it fits.
pub(crate) fn wrap(text: &str, first: &str, style: Style, columns: usize) -> Vec<String> {
    let text = plain(&without_escapes(text), style);
    let indent = " ".repeat(width(first));
    let room = columns.saturating_sub(indent.len()).max(8);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in words(&text) {
        for part in fold(&word, room) {
            if !line.is_empty() && width(&line) + 1 + width(&part) > room {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&part);
        }
    }
    lines.push(line);
    let mut code = false;
    lines
        .iter()
        .enumerate()
        .map(|(n, line)| {
            let lead = if n == 0 { first } else { &indent };
            format!("{lead}{}", set_code(line, style, &mut code))
        })
        .collect()
}

/// Words; a short piece of code is one word.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for word in text.split_whitespace() {
        let short = words.last().is_some_and(|last| width(last) + width(word) < 30);
        match words.last_mut() {
            Some(last) if open && short => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
        open ^= word.matches('`').count() % 2 == 1;
    }
    words
}

/// The backticks stay with the colour, too: a copy of the screen has none, and they tell names from words.
fn set_code(line: &str, style: Style, code: &mut bool) -> String {
    let mut out = String::new();
    let mut part = String::new();
    for char in line.chars() {
        if char == '`' {
            if *code {
                part.push(char);
                out += &style.paint(Ink::Code, &std::mem::take(&mut part));
            } else {
                out += &std::mem::take(&mut part);
                part.push(char);
            }
            *code = !*code;
        } else {
            part.push(char);
        }
    }
    out += &if *code { style.paint(Ink::Code, &part) } else { part };
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { unicode: true, colour: false, width: 80 };

    #[test]
    fn escapes_take_no_columns() {
        assert_eq!(width("\x1b[1m\x1b[91mab\x1b[0m"), 2);
        assert_eq!(width("\x1b]8;;file:///x\x1b\\ab\x1b]8;;\x1b\\"), 2);
        assert_eq!(width("\x1b]8;;x\x07ab"), 2);
        assert_eq!(width("日本"), 4);
        assert_eq!(without_escapes("\x1b[31ma\tb\x07\r\x1bc"), "a    b");
    }

    #[test]
    fn a_text_that_ends_within_an_escape_is_no_panic() {
        for text in ["\x1b", "\x1b[", "\x1b[12", "\x1b]8;;x", "\x1bé", "a\x1b]"] {
            assert!(width(text) <= 1);
            assert_eq!(fold(text, 3).len(), 1);
        }
    }

    #[test]
    fn clip_counts_columns_and_lets_colours_end() {
        assert_eq!(clip("\x1b[31mabcdef\x1b[0m", 3), "\x1b[31mabc\x1b[0m");
        assert_eq!(clip("日本", 3), "日");
    }

    #[test]
    fn what_is_cut_is_marked() {
        assert_eq!(cut("abc", 3, PLAIN), "abc");
        assert_eq!(cut("\x1b[31mabcd\x1b[0m", 3, PLAIN), "\x1b[31mab\x1b[0m…");
        assert_eq!(cut("abcd", 3, Style { unicode: false, ..PLAIN }), "a..");
        assert_eq!(cut("abcd", 0, PLAIN), "");
    }

    #[test]
    fn fold_carries_colours_over() {
        assert_eq!(fold("\x1b[31mabcd\x1b[0me", 2), ["\x1b[31mab\x1b[0m", "\x1b[31mcd\x1b[0m", "e"]);
        assert_eq!(fold("", 5), [""]);
    }

    #[test]
    fn code_is_folded_between_words_and_comments_stay_comments() {
        let line = "    // one two three four five six seven";
        assert_eq!(fold_code(line, 30), ["    // one two three four five", "    // six seven"]);
        assert_eq!(fold_code("short", 30), ["short"]);
        for columns in 2..40 {
            for line in
                [line, "日本語日本語", "let x = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\";"]
            {
                let lines = fold_code(line, columns);
                assert!(lines.iter().all(|line| width(line) <= columns), "{columns}: {lines:?}");
            }
        }
    }

    #[test]
    fn wrap_fills_lines_and_keeps_code_together() {
        assert_eq!(wrap("aaa bbb `c d` e", "- ", PLAIN, 10), ["- aaa bbb", "  `c d` e"]);
        assert_eq!(wrap("abcdefghijklmnop", "", PLAIN, 10), ["abcdefghij", "klmnop"]);
        let coloured = Style { colour: true, ..PLAIN };
        assert_eq!(wrap("a `b` c", "", coloured, 20), ["a \x1b[36m`b`\x1b[0m c"]);
        assert_eq!(
            wrap("`b cc dd` e", "", coloured, 8),
            ["\x1b[36m`b cc dd\x1b[0m", "\x1b[36m`\x1b[0m e"],
            "code goes on below"
        );
    }

    #[test]
    fn ascii_terminals_get_ascii() {
        assert!(wrap("a → b … “c” 日", "", Style { unicode: false, ..PLAIN }, 60)[0].is_ascii());
    }
}
