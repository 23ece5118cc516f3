/// The lines between `ANCHOR: name` and `ANCHOR_END: name`, or all of them; without the marks of any anchor, and without
/// the margin that all have in common. The error is the mark that is missing.
pub(super) fn excerpt(text: &str, anchor: Option<&str>) -> Result<String, String> {
    let marks = |line: &str, mark: &str, name: &str| {
        line.split_once(mark).is_some_and(|(_, marked)| marked.trim() == name)
    };
    let mut lines: Vec<&str> = text.lines().collect();
    if let Some(name) = anchor {
        let find = |mark: &str| {
            let at = lines.iter().position(|line| marks(line, mark, name));
            at.ok_or_else(|| format!("{mark} {name}"))
        };
        let (from, until) = (find("ANCHOR:")?, find("ANCHOR_END:")?);
        lines = lines.get(from + 1..until).unwrap_or_default().to_vec();
    }
    lines.retain(|line| !line.contains("ANCHOR:") && !line.contains("ANCHOR_END:"));
    let margin = |line: &&str| line.len() - line.trim_start_matches(' ').len();
    let common = lines.iter().filter(|line| !line.trim().is_empty()).map(margin).min().unwrap_or(0);
    let moved: Vec<&str> = lines.iter().map(|line| line.get(common..).unwrap_or_default()).collect();
    Ok(moved.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "\
fn main() {
    // ANCHOR: loop
    for n in 0..3 {
        // ANCHOR: body
        print(n);
        // ANCHOR_END: body

        wait();
    }
    // ANCHOR_END: loop
}
// ANCHOR: open
";

    #[test]
    fn an_excerpt_begins_at_the_margin_and_shows_no_marks() {
        let lines = "for n in 0..3 {\n    print(n);\n\n    wait();\n}";
        assert_eq!(excerpt(CODE, Some("loop")).as_deref(), Ok(lines));
        assert_eq!(excerpt(CODE, Some("body")).as_deref(), Ok("print(n);"));
    }

    #[test]
    fn a_whole_file_is_all_but_its_marks() {
        let whole = excerpt(CODE, None).expect("no anchor is asked for");
        assert!(whole.starts_with("fn main() {\n    for") && !whole.contains("ANCHOR"), "{whole}");
    }

    #[test]
    fn a_mark_that_is_missing_is_named() {
        assert_eq!(excerpt(CODE, Some("other")), Err("ANCHOR: other".to_owned()));
        assert_eq!(excerpt(CODE, Some("open")), Err("ANCHOR_END: open".to_owned()));
    }
}
