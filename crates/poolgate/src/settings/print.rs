//! `poolgate print-config`.

use poolgate_server::{
    Settings,
    settings::{Section, sections},
};
use serde_json::Value;

/// Longest line of an explanation, in characters.
const WIDTH: usize = 100;

/// The settings as a TOML file would hold them. Secrets are hidden.
pub fn to_toml(settings: &Settings) -> String {
    let settings = document(settings);
    write(|section, name, _, text| {
        text.push_str(&match &settings[section.name][name] {
            Value::Null => format!("# {name} =\n"),
            value => format!("{name} = {value}\n"),
        });
    })
}

/// The same with an explanation of each setting, and with those that have their default commented out.
pub fn explained(settings: &Settings) -> String {
    let (settings, defaults) = (document(settings), document(&Settings::default()));
    let settings = write(|section, name, explanation, text| {
        let value = &settings[section.name][name];
        text.push('\n');
        comment(explanation, text);
        text.push_str(&match value {
            Value::Null => format!("#{name} =\n"),
            value if *value == defaults[section.name][name] => format!("#{name} = {value}\n"),
            value => format!("{name} = {value}\n"),
        });
    });
    format!(
        "# Settings of Poolgate. Those that begin with # have their default. Each can also be given in the environment:\n\
         # `pool.size` is POOLGATE_POOL__SIZE. `poolgate check-config --config FILE` checks a file.\n{settings}"
    )
}

/// Every section and setting, each setting as `line` writes it.
fn write(line: impl Fn(&Section, &str, &str, &mut String)) -> String {
    let mut text = String::new();
    let all = sections();
    for section in &all {
        if !section.name.is_empty() {
            text.push('\n');
            text.push_str(&format!("[{}]\n", section.name));
        }
        for (name, explanation) in section.settings() {
            let path = if section.name.is_empty() { name.to_owned() } else { format!("{}.{name}", section.name) };
            let is_section = all.iter().any(|section| section.name == path);
            if !is_section {
                line(section, name, explanation, &mut text);
            }
        }
    }
    text
}

/// The settings by section; those outside of sections are in the section without a name.
fn document(settings: &Settings) -> Value {
    let settings = serde_json::to_value(settings).unwrap_or_default();
    let section = |name: &str| name.split('.').filter(|part| !part.is_empty()).fold(&settings, |at, part| &at[part]);
    sections().iter().map(|Section { name, .. }| ((*name).to_owned(), section(name).clone())).collect()
}

/// Markdown as lines of a comment.
fn comment(markdown: &str, text: &mut String) {
    let mut line = String::new();
    for word in markdown.split_whitespace() {
        // A link of rustdoc leads nowhere in a file.
        let word = word.replace("[`", "`").replace("`]", "`");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&format!("# {line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    text.push_str(&format!("# {line}\n"));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::{Overrides, load};

    const EXAMPLE: &str = include_str!("../../../../config.example.toml");

    fn read(text: &str) -> Settings {
        let folder = tempfile::TempDir::new().expect("a folder");
        let file = folder.path().join("poolgate.toml");
        std::fs::write(&file, text).expect("written");
        load(Some(Path::new(&file)), [], &Overrides::default()).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn the_example_is_what_the_program_prints() {
        let now = explained(&Settings::default());
        assert_eq!(EXAMPLE, now, "poolgate print-config --explain > config.example.toml");
    }

    #[test]
    fn the_example_gives_the_defaults_with_and_without_its_comment_signs() {
        assert_eq!(read(EXAMPLE), Settings::default());
        let is_setting = |line: &str| line.split_once(" = ").is_some_and(|(name, _)| !name.contains(' '));
        let uncomment = |line: &str| match line.strip_prefix('#') {
            Some(setting) if is_setting(setting) => format!("{setting}\n"),
            Some(_) | None => format!("{line}\n"),
        };
        let given: String = EXAMPLE.lines().map(uncomment).collect();
        assert!(given.contains("\nsize = 20\n") && given.contains("\npolicy = \"adaptive\"\n"), "{given}");
        assert_eq!(read(&given), Settings::default());
    }

    #[test]
    fn what_differs_from_the_defaults_stands_out() {
        let mut settings = Settings::default();
        settings.pool.size = 7;
        let printed = explained(&settings);
        assert!(printed.contains("\nsize = 7\n") && printed.contains("\n#max_overflow = 10\n"), "{printed}");
        assert_eq!(read(&printed), settings);
    }
}
