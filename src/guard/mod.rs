//! The admission policies that this operator was built with, and whether those that are installed are the same. Pure.

pub mod compare;
pub mod shipped;
