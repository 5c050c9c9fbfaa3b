//! What is made of a published snapshot in the background: other forms of the same rows, which change how fast a question is
//! answered and never what the answer is.

pub mod cluster;
