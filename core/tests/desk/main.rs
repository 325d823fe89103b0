//! The rules of a desk, without I/O.
//!
//! | file | question |
//! |---|---|
//! | `turns` | who is decided when |
//! | `bounds` | how much waits, and who is told no |
//! | `asked` | what a desk says of itself |
//! | `workers` | who is handed what, again, and who fell silent |
//! | `parking` | what waits for a definition, and what comes behind it |
//! | `current` | who asks which version is current |
//! | `live` | who asks what is seen of a run |
//! | `told` | what a worker is told, when, and when it is called |
//! | `weight` | how much what waits weighs, and that it weighs nothing afterwards |
//! | `answers` | what goes together in one message to a worker |
//! | `updates` | who waits for what an update is answered with |
//! | `room` | a desk whose bundles land at once |
//! | `floods` | ways to bring much work at once |

mod answers;
mod asked;
mod bounds;
mod current;
mod floods;
mod live;
mod parking;
mod room;
mod told;
mod turns;
mod updates;
mod weight;
mod workers;
