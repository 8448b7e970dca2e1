//! What stands in the way of many entries at once: a folder that cannot be looked at, a guard that holds, an account
//! that takes nothing. No single entry tells of these.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::asset::ProviderName;

/// All that stands in the way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacles {
    /// Why the watched folder can't be looked at, if so.
    pub folder: Option<String>,
    /// What the guard holds back, if it does.
    pub guard: Option<HeldBack>,
    /// Accounts that take nothing, or not what was last found for them.
    pub accounts: BTreeMap<ProviderName, AccountProblem>,
}

/// What the guard holds back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// Why.
    pub reason: String,
    /// How many entries.
    pub entries: usize,
}

/// What is wrong with an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountProblem {
    /// A word for programs: [`CREDENTIALS_MISSING`], or the class of the failure that stopped it.
    pub kind: Box<str>,
    /// A line for people; holds no secret.
    pub detail: Box<str>,
    /// Whether credentials that were found before are still in use.
    pub connected: bool,
}

/// The kind of an account whose credential references lead nowhere.
pub const CREDENTIALS_MISSING: &str = "credentials-missing";

impl Obstacles {
    /// Whether nothing stands in the way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.folder.is_none() && self.guard.is_none() && self.accounts.is_empty()
    }
}
