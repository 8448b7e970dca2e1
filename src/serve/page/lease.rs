//! A lease as a bar: from the upload to the expiry, filled as far as it has run, with a mark where the renewal begins.

use maud::{Markup, html};

use crate::domain::state::Handle;
use crate::domain::time::{Timestamp, format_duration};

/// The bar. Sizes are attributes, not styles: the page allows no style but its sheet.
pub(super) fn bar(handle: &Handle, renew_at: Option<Timestamp>, now: Timestamp) -> Markup {
    let share = |at: Timestamp| share(handle, at);
    let run = share(now);
    let left = format_duration(handle.expires_at.saturating_since(now));
    let label = format!("{run} % of the lease has run, {left} left");
    html! {
        svg.lease viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label=(label) {
            rect.whole x="0" y="2" width="100" height="6" {}
            rect.run x="0" y="2" width=(run.max(2)) height="6" {}
            @if let Some(at) = renew_at { rect.renewal x=(share(at).min(98)) y="0" width="2" height="10" {} }
        }
    }
}

/// How much of a lease has run at a moment, in hundredths.
fn share(handle: &Handle, at: Timestamp) -> u64 {
    let whole = handle.expires_at.saturating_since(handle.uploaded_at).as_millis().max(1);
    let run = at.saturating_since(handle.uploaded_at).as_millis();
    u64::try_from(run * 100 / whole).unwrap_or(100).min(100)
}
