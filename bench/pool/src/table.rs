//! Markdown tables.

/// Prints a heading and a table; the first column is text, the others are figures.
pub(crate) fn print(heading: &str, columns: &[&str], rows: &[Vec<String>]) {
    println!("\n### {heading}\n");
    println!("| {} |", columns.join(" | "));
    let rules = columns.iter().enumerate().map(|(number, _)| if number == 0 { "---" } else { "---:" });
    println!("| {} |", rules.collect::<Vec<_>>().join(" | "));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
}
