use super::{
    Error, Result,
    directives::{Name, escape},
};

/// What the box takes from an exercise's README.
struct Readme<'a> {
    /// The pattern and what is to be done: `gather: fetch all, in order`.
    title: &'a str,
    /// The paragraphs before the rules.
    task: &'a str,
    /// The list of rules.
    rules: &'a str,
}

/// The exercise as a box. It is Markdown between two lines of HTML, so that the README's own Markdown is rendered.
pub(super) fn section(readme: &str, name: &Name<'_>, id: &str) -> Result<String> {
    let Readme { title, task, rules } = parse(readme)?;
    let folder = name.exercise();
    let label = escape(title);
    Ok(format!(
        "\n<section class=\"exercise\" id=\"{id}\" aria-label=\"Exercise {label}\">\n\n\
         **Exercise {title}**\n\n\
         {task}\n\n\
         The check holds your answer to these rules:\n\n\
         {rules}\n\n\
         Edit `{folder}/exercise.rs`, then ask for the verdict:\n\n\
         ```sh\ncargo run -- check {}\n```\n\n\
         </section>\n\n",
        name.pattern
    ))
}

fn parse(readme: &str) -> Result<Readme<'_>> {
    let (first, body) = readme.trim_start().split_once('\n').unwrap_or((readme, ""));
    let title = first.strip_prefix("# ").map(str::trim).filter(|title| title.contains(": "));
    let title = title.ok_or_else(|| Error::new("the README does not begin with `# name: title`"))?;
    let (task, rest) =
        body.split_once("\n## Rules\n").ok_or_else(|| Error::new("the README has no `## Rules`"))?;
    let rules = rest.split("\n## ").next().unwrap_or_default().trim();
    if !rules.lines().any(|line| line.starts_with("- `")) {
        return Err(Error::new("the README's rules are no list of \"- `rule`: text\""));
    }
    Ok(Readme { title, task: task.trim(), rules })
}
