//! Both providers meet every claim.

use mediakeep::provider::conformance::{Report, check};

use crate::fakes::Fake;

fn assert_complete(report: &Report) {
    report.assert_all_hold();
    assert_eq!(report.skipped(), Vec::<&str>::new(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bandwidth_is_a_provider() {
    assert_complete(&check(&Fake::bandwidth().await).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bandwidth_with_oauth2_is_a_provider() {
    assert_complete(&check(&Fake::bandwidth_oauth().await).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plivo_is_a_provider() {
    assert_complete(&check(&Fake::plivo().await).await);
}
