//! A document that shows what was measured, between marks.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// Replaces what stands between the marks of this name.
pub(crate) fn put(document: &Path, mark: &str, tables: &str) -> Result<()> {
    let named = || document.display().to_string();
    let text = fs::read_to_string(document).with_context(named)?;
    fs::write(document, replace(&text, mark, tables).with_context(named)?)?;
    Ok(())
}

fn replace(document: &str, mark: &str, tables: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {mark}: begin -->"), format!("<!-- {mark}: end -->"));
    let (before, rest) = document.split_once(&begin).with_context(|| format!("there is no {begin}"))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("there is no {end}"))?;
    Ok(format!("{before}{begin}\n\n{tables}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_keeps_what_is_around_the_marks() {
        let document = "before\n<!-- a: begin -->\nold\n<!-- a: end -->\nafter\n<!-- b: begin --><!-- b: end -->\n";
        let replaced = replace(document, "a", "new\n").expect("marks");
        let expected = "before\n<!-- a: begin -->\n\nnew\n\n<!-- a: end -->\nafter\n<!-- b: begin --><!-- b: end -->\n";
        assert_eq!(replaced, expected);
        assert_eq!(replace(&replaced, "a", "new\n").expect("marks"), replaced);
        assert!(replace("no marks", "a", "new").is_err());
    }
}
