//! Tables: one object a line, columns as wide as what is in them.

use super::{Line, Tone};

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Line>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a line. What is missing is a dash: a blank field would shift the others for programs.
    pub fn row(&mut self, cells: Vec<Line>) {
        self.rows.push(cells);
    }

    /// Whether it has no line.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its lines.
    pub fn lines(&self, headers: bool) -> Vec<Line> {
        let head: Vec<Line> = self.head.iter().map(|name| Line::toned(Tone::Strong, name)).collect();
        let dashed = |row: &Vec<Line>| {
            row.iter().map(|cell| if cell.width() == 0 { "-".into() } else { cell.clone() }).collect()
        };
        let rows: Vec<Vec<Line>> = headers.then_some(head).into_iter().chain(self.rows.iter().map(dashed)).collect();
        let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(Line::width).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        rows.iter().map(|row| padded(row, &widths)).collect()
    }
}

fn padded(row: &[Line], widths: &[usize]) -> Line {
    let mut line = Line::default();
    for (number, (cell, width)) in row.iter().zip(widths).enumerate() {
        line.extend(cell);
        if number + 1 < row.len() {
            line.push(Tone::Plain, &" ".repeat(width.saturating_sub(cell.width()) + 2));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(vec!["größer".into(), "Open".into()]);
        table.row(vec!["b".into(), "".into()]);
        let text: Vec<String> = table.lines(true).iter().map(Line::text).collect();
        assert_eq!(text, ["NAME    STATE", "größer  Open", "b       -"]);
        assert_eq!(table.lines(false).len(), 2);
    }
}
