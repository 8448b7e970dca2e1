//! Claims about a provider in trouble: what is made of what it answers, and what it never gets to see.

use std::time::Duration;

use super::{Bench, Check, Disturbance, Objection, ensure};
use crate::domain::failure::{Failure, FailureClass};

type Checked = Result<(), Objection>;

pub(super) const CLAIMS: &[(&str, Check)] = &[
    ("wrong credentials are refused as such", |bench| Box::pin(wrong_credentials(bench))),
    ("every kind of refusal has its class", |bench| Box::pin(refusals_have_classes(bench))),
    ("a wait that the provider asks for is passed on", |bench| Box::pin(waits_are_passed_on(bench))),
    ("a redirect is never followed", |bench| Box::pin(redirects_are_not_followed(bench))),
    ("a lost or missing answer leaves the outcome open", |bench| Box::pin(lost_answers_are_ambiguous(bench))),
    ("half of a refusal is still a refusal", |bench| Box::pin(half_a_refusal(bench))),
    ("a look-up or list that fails does not look empty", |bench| Box::pin(failing_is_not_empty(bench))),
    ("after a disturbance everything is as before", |bench| Box::pin(all_is_well_again(bench))),
];

const CANNOT_DISTURB: Objection = Objection::Skip("the subject can't disturb its provider");
const PAGE: &str = "<!DOCTYPE html><html><title>Log in</title></html>";

/// Uploads under a disturbance, once; checks what holds for every failure.
async fn disturbed(bench: &Bench<'_>, disturbance: Disturbance) -> Result<Failure, Objection> {
    if !bench.subject.disturb(disturbance) {
        return Err(CANNOT_DISTURB);
    }
    let before = bench.subject.requests();
    let mut request = bench.request("disturbed.txt", &b"disturbed"[..]);
    if disturbance == Disturbance::Silence {
        request.time_limit = Duration::from_millis(250);
    }
    let outcome = bench.provider.upload(request).await;
    let after = bench.subject.requests();
    bench.subject.calm();
    let Err(failure) = outcome else {
        return Err(Objection::Broken(format!("{disturbance:?} counts as a success")));
    };
    if let (Some(before), Some(after)) = (before, after) {
        // A token that is refused is renewed once.
        let refused = failure.class == FailureClass::CredentialsRefused;
        let right = after == before + 1 || (refused && after == before + 2);
        ensure(right, || format!("{disturbance:?} led to {} requests", after - before))?;
    }
    let detail = &failure.detail;
    ensure(!detail.is_empty() && detail.chars().count() <= 200, || format!("the detail is {detail:?}"))?;
    ensure(!detail.chars().any(char::is_control), || format!("the detail is {detail:?}"))?;
    Ok(failure)
}

async fn wrong_credentials(bench: &Bench<'_>) -> Checked {
    let Some(stranger) = bench.subject.with_wrong_credentials() else {
        return Err(Objection::Skip("the subject has no wrong credentials"));
    };
    match stranger.upload(bench.request("stranger.txt", &b"x"[..])).await {
        Ok(_) => Err(Objection::Broken("they are accepted".to_owned())),
        Err(failure) => ensure(failure.class == FailureClass::CredentialsRefused, || {
            format!("the failure is {}: {failure}", failure.class)
        }),
    }
}

async fn refusals_have_classes(bench: &Bench<'_>) -> Checked {
    use FailureClass as Class;
    let json = r#"{"type": "some-type", "description": "some words"}"#;
    let table = [
        (200, PAGE, Class::Unexpected),
        (206, "", Class::Unexpected),
        (304, "", Class::Unexpected),
        (400, json, Class::ContentRefused),
        (401, json, Class::CredentialsRefused),
        (401, "", Class::CredentialsRefused),
        (403, r#"{"error": {"message": "no"}}"#, Class::CredentialsRefused),
        (404, "{}", Class::AddressUnknown),
        (406, json, Class::ContentRefused),
        (413, PAGE, Class::ContentRefused),
        (415, json, Class::ContentRefused),
        (418, "", Class::Unexpected),
        (429, "", Class::Throttled),
        (500, "\u{1b}[31m\r\nred", Class::Unavailable),
        (502, PAGE, Class::Unavailable),
        (503, "", Class::Unavailable),
    ];
    for (status, body, class) in table {
        let failure = disturbed(bench, Disturbance::Reply { status, headers: &[], body }).await?;
        ensure(failure.class == class, || format!("{status} is {}: {failure}", failure.class))?;
        ensure(failure.status == Some(status), || format!("{status} is told as {:?}", failure.status))?;
    }
    Ok(())
}

async fn waits_are_passed_on(bench: &Bench<'_>) -> Checked {
    for (status, class) in [(429, FailureClass::Throttled), (503, FailureClass::Unavailable)] {
        let reply = Disturbance::Reply { status, headers: &[("Retry-After", "7")], body: "" };
        let failure = disturbed(bench, reply).await?;
        let right = failure.class == class && failure.retry_after == Some(Duration::from_secs(7));
        ensure(right, || format!("{status} with a wait of 7 s is {failure:?}"))?;
    }
    let reply = Disturbance::Reply { status: 429, headers: &[("Retry-After", "-5")], body: "" };
    let failure = disturbed(bench, reply).await?;
    ensure(failure.retry_after.is_none(), || format!("a wait of -5 is {:?}", failure.retry_after))
}

async fn redirects_are_not_followed(bench: &Bench<'_>) -> Checked {
    for status in [301, 302, 303, 307, 308] {
        let failure = disturbed(bench, Disturbance::Redirect { status }).await?;
        let right = failure.class == FailureClass::Unexpected;
        ensure(right, || format!("{status} is {}: {failure}", failure.class))?;
    }
    match bench.subject.bytes_led_astray() {
        None => Err(Objection::Skip("the subject does not count what arrives elsewhere")),
        Some(bytes) => ensure(bytes == 0, || format!("{bytes} bytes arrived elsewhere")),
    }
}

async fn lost_answers_are_ambiguous(bench: &Bench<'_>) -> Checked {
    for disturbance in [Disturbance::HangUp, Disturbance::Silence] {
        let failure = disturbed(bench, disturbance).await?;
        let right = failure.class == FailureClass::Ambiguous && failure.status.is_none();
        ensure(right, || format!("{disturbance:?} is {}: {failure}", failure.class))?;
    }
    Ok(())
}

async fn half_a_refusal(bench: &Bench<'_>) -> Checked {
    for (status, class) in [(500, FailureClass::Unavailable), (401, FailureClass::CredentialsRefused)] {
        let failure = disturbed(bench, Disturbance::HalfReply { status }).await?;
        ensure(failure.class == class, || format!("half of a {status} is {}: {failure}", failure.class))?;
    }
    Ok(())
}

async fn failing_is_not_empty(bench: &Bench<'_>) -> Checked {
    let receipt = bench.upload("asked-for.txt", &b"x"[..]).await?;
    for (status, body) in [(500, ""), (401, ""), (429, "{}"), (403, PAGE), (204, ""), (302, "")] {
        if !bench.subject.disturb(Disturbance::Reply { status, headers: &[], body }) {
            return Err(CANNOT_DISTURB);
        }
        let found = bench.provider.find(&receipt.id).await;
        ensure(found.is_err(), || format!("a look-up with {status} is {found:?}"))?;
        let page = bench.provider.list(None).await;
        ensure(page.is_err(), || format!("a list with {status} is {page:?}"))?;
    }
    bench.subject.disturb(Disturbance::Reply { status: 200, headers: &[], body: PAGE });
    let page = bench.provider.list(None).await;
    ensure(page.is_err(), || format!("a page for browsers is the list {page:?}"))
}

async fn all_is_well_again(bench: &Bench<'_>) -> Checked {
    disturbed(bench, Disturbance::HangUp).await?;
    let receipt = bench.upload("well.txt", &b"well"[..]).await?;
    bench.expect_bytes(&receipt, b"well").await
}
