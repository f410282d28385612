//! Reading, finding, comparing and writing checkpoints, with real and with hostile files.

#[path = "checkpoint/find.rs"]
mod find;
#[path = "checkpoint/hostile.rs"]
mod hostile;
#[path = "checkpoint/pickles.rs"]
mod pickles;
#[path = "checkpoint/read.rs"]
mod read;
#[path = "checkpoint/settings.rs"]
mod settings;
#[path = "checkpoint/support.rs"]
mod support;
#[path = "checkpoint/write.rs"]
mod write;
