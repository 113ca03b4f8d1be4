//! Trees: a table whose first column shows what belongs to what.

use super::screen::Icons;
use super::table::Table;
use super::{Line, Tone};

/// A node of a tree.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// What it is called.
    pub name: String,
    /// The other columns.
    pub cells: Vec<Line>,
    /// What belongs to it.
    pub children: Vec<Node>,
}

/// The lines of a tree, with these columns. `depth`: how far below the root it is shown.
pub fn lines(head: &[&'static str], root: &Node, icons: Icons, headers: bool, depth: usize) -> Vec<Line> {
    let mut table = Table::new(head);
    row(&mut table, &root.name, root);
    branch(&mut table, root, "", icons, depth);
    table.lines(headers)
}

fn row(table: &mut Table, name: &str, node: &Node) {
    table.row(std::iter::once(Line::from(name)).chain(node.cells.iter().cloned()).collect());
}

fn branch(table: &mut Table, node: &Node, before: &str, icons: Icons, depth: usize) {
    if depth == 0 {
        return;
    }
    for (number, child) in node.children.iter().enumerate() {
        let last = number + 1 == node.children.len();
        let (arm, stem) = icons.branches(last);
        let cells = std::iter::once(Line::toned(Tone::Faint, &format!("{before}{arm}")).and(Tone::Plain, &child.name));
        table.row(cells.chain(child.cells.iter().cloned()).collect());
        branch(table, child, &format!("{before}{stem}"), icons, depth - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, children: Vec<Node>) -> Node {
        Node { name: name.to_owned(), cells: vec!["x".into()], children }
    }

    #[test]
    fn what_belongs_to_what_is_seen_in_both_sets() {
        let root =
            node("run", vec![node("look", vec![]), node("scale", vec![node("ballot", vec![])]), node("end", vec![])]);
        let text = |icons| lines(&["NAME", "KIND"], &root, icons, false, 9).iter().map(Line::text).collect::<Vec<_>>();
        assert_eq!(
            text(Icons::Unicode),
            ["run             x", "├── look        x", "├── scale       x", "│   └── ballot  x", "└── end         x"]
        );
        assert_eq!(
            text(Icons::Ascii),
            ["run             x", "|-- look        x", "|-- scale       x", "|   `-- ballot  x", "`-- end         x"]
        );
        assert_eq!(lines(&["NAME", "KIND"], &root, Icons::Ascii, false, 1).len(), 4);
    }
}
