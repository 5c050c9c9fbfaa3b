//! Where ports meet implementations: [`Node::open`] yields an engine with its SQL front end.
//!
//! This is also the embedded form: a program that links Farthing opens a [`Node`] and asks its [`Frontend`], with no server
//! in between. There is no registry and there are no globals; two nodes in one process do not know of each other.

mod clock;
mod logins;
mod node;

pub use self::clock::SystemClock;
pub use self::logins::SharedLogins;
pub use self::node::{Node, open_state_store};
