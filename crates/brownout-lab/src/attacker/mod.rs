//! A seeded attacker: somebody who wants a service to look broken, with few addresses or many, against
//! the real engine behind the rules of intake.

mod intake;
mod stage;
mod strategy;
mod world;

pub use stage::{Outcome, Stage};
pub use strategy::{Act, Honest, Strategy};
pub use world::Size;
