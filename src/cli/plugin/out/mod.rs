//! What the plugin shows: lines, tables, trees, times, and objects for programs.
//!
//! Nothing else in the plugin writes to the terminal. Whatever a stranger wrote goes through [`line::Line`], which makes
//! one harmless line of it, and colours are added after that.

pub mod line;
pub mod object;
pub mod screen;
pub mod table;
pub mod time;
pub mod tree;

pub use line::{Line, Tone};
pub use screen::Screen;
