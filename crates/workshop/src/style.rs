use std::{env, io::IsTerminal as _};

/// What the reader's terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) unicode: bool,
    pub(crate) colour: bool,
    /// Columns.
    pub(crate) width: usize,
}

/// How a piece of text is set off. No fact is told by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Good,
    Bad,
    Open,
    Dim,
    Bold,
    Code,
}

impl Style {
    /// For what goes to stdout.
    pub(crate) fn of_stdout() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            unicode: unicode(variable),
            colour: colour(variable, terminal),
            // Asking for the size of something else than a terminal would start `tput`.
            width: if terminal { terminal_width() } else { 80 },
        }
    }

    pub(crate) fn paint(self, ink: Ink, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Open => "33",
            Ink::Dim => "2",
            Ink::Bold => "1",
            Ink::Code => "36",
        };
        // Reset at the end of each line, so that lines can be cut from one another.
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// One of two spellings.
    pub(crate) const fn glyph(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }
}

fn terminal_width() -> usize {
    match crossterm::terminal::size() {
        // A terminal that does not know its size says 0.
        Ok((0, _)) | Err(_) => 80,
        Ok((width, _)) => width.into(),
    }
}

/// As the locale says, in the order in which the C library asks.
fn unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
    if variable("TERM").is_some_and(|term| term == "dumb") {
        return false;
    }
    // Windows has no locale variables; its terminals are UTF-8 when written to through the console.
    let Some(locale) = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(&variable) else {
        return cfg!(windows);
    };
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

fn colour(variable: impl Fn(&str) -> Option<String>, terminal: bool) -> bool {
    if variable("NO_COLOR").is_some() {
        return false;
    }
    if variable("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    terminal && variable("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| variables.iter().find(|(its, _)| *its == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_strongest_locale_variable_decides() {
        assert!(unicode(with(&[("LANG", "en_US.UTF-8")])));
        assert!(unicode(with(&[("LC_ALL", "C.utf8"), ("LANG", "C")])));
        assert!(!unicode(with(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")])));
        assert!(!unicode(with(&[("LANG", "en_US.UTF-8"), ("TERM", "dumb")])));
        #[cfg(unix)]
        assert!(!unicode(with(&[])));
    }

    #[test]
    fn colour_is_a_wish_that_can_be_refused() {
        assert!(colour(with(&[]), true));
        assert!(!colour(with(&[]), false));
        assert!(!colour(with(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]), true));
        assert!(colour(with(&[("CLICOLOR_FORCE", "1")]), false));
        assert!(!colour(with(&[("CLICOLOR_FORCE", "0")]), false));
        assert!(!colour(with(&[("TERM", "dumb")]), true));
    }
}
