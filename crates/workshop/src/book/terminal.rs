use super::{Error, Result, directives::escape};

/// A recorded output: the command that was typed, and what it said.
pub(super) struct Recorded<'a> {
    /// Without the `$ `.
    pub(super) command: &'a str,
    pub(super) output: &'a str,
}

impl<'a> Recorded<'a> {
    /// Reads a file whose first line is `$ command`.
    pub(super) fn parse(text: &'a str) -> Result<Self> {
        let (first, output) = text.split_once('\n').unwrap_or((text, ""));
        let command = first.strip_prefix("$ ").map(str::trim_end);
        let command = command.ok_or_else(|| Error::new("its first line is not `$ command`"))?;
        Ok(Self { command, output })
    }
}

/// The recorded output as a terminal.
pub(super) fn figure(text: &str) -> Result<String> {
    let Recorded { command, output } = Recorded::parse(text)?;
    let (command, output) = (escape(command), escape(output.trim_end()));
    Ok(format!(
        "\n<figure class=\"terminal\">\n\
         <figcaption>Output of <code>{command}</code></figcaption>\n\
         <pre>{output}</pre>\n\
         </figure>\n\n"
    ))
}
