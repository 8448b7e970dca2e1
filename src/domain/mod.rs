//! DECIDES. No async, no file, no socket, no clock, no logging: time arrives as an argument.

pub mod approval;
pub mod asset;
pub mod condition;
pub mod event;
pub mod experience;
pub mod export;
pub mod failure;
pub mod guard;
pub mod kind;
pub mod lease;
pub mod manifest;
pub mod media_type;
pub mod notice;
pub mod observation;
pub mod obstacles;
pub mod plan;
pub mod reconciler;
pub mod records;
pub mod renewal_id;
pub mod retry;
pub mod state;
pub mod state_format;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod time;
pub mod verification;
