//! Tables, for the terminal and for a document.

/// A heading, the names of the columns, and the rows. The first column is text, the others are figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) heads: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, heads: &[&'static str]) -> Self {
        Self { title: title.into(), heads: heads.to_vec(), rows: Vec::new() }
    }

    /// In columns of equal width.
    pub(crate) fn text(&self) -> String {
        let lines =
            || std::iter::once(self.heads.iter().map(|head| (*head).to_owned()).collect()).chain(self.rows.clone());
        let mut widths = vec![0; self.heads.len()];
        for line in lines() {
            for (width, cell) in widths.iter_mut().zip(&line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = format!("\n{}\n", self.title);
        for line in lines() {
            for (index, (cell, width)) in line.iter().zip(&widths).enumerate() {
                text += &if index == 0 { format!("{cell:width$}") } else { format!("  {cell:>width$}") };
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }
}

/// One below the other.
pub(crate) fn markdown(tables: &[Table]) -> String {
    let tables = tables.iter().map(|table| {
        let mut text = format!("**{}**\n\n| {} |\n", table.title, table.heads.join(" | "));
        text += &format!("| --- |{}\n", " ---: |".repeat(table.heads.len().saturating_sub(1)));
        for row in &table.rows {
            text += &format!("| {} |\n", row.join(" | "));
        }
        text
    });
    tables.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_below_each_other() {
        let mut table = Table::new("Title", &["what", "n"]);
        table.rows = vec![vec!["a".to_owned(), "1".to_owned()], vec!["bcdef".to_owned(), "100".to_owned()]];
        assert_eq!(table.text(), "\nTitle\nwhat     n\na        1\nbcdef  100\n");
        assert_eq!(markdown(&[table]), "**Title**\n\n| what | n |\n| --- | ---: |\n| a | 1 |\n| bcdef | 100 |\n");
    }
}
