//! Media IDs as templates.

/// A media ID with places for what is only known later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdTemplate(String);
