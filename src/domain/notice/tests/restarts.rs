//! What is told after a restart of what was wrong before it.

use super::*;
use crate::domain::obstacles::CREDENTIALS_MISSING;

#[test]
fn after_a_restart_what_still_fails_is_told_once_more_and_nothing_else() {
    let begin = |kind, attempts, detail| {
        Notices::new(state(&[("a", troubled(record("u1", "x"), kind, attempts, detail))]), at(0))
    };
    let mut lasting = begin("too-large", 0, "9 MB");
    assert_eq!(lasting.wake_at(), Some(at(60)));
    assert!(lasting.wake(at(59)).is_empty());
    assert_eq!(said(&lasting.wake(at(60))), ["failure a too-large"]);
    assert!(lasting.wake(at(600)).is_empty());
    let mut mended = begin("unavailable", 5, "503");
    assert!(mended.event(&uploaded("u1"), at(3)).is_empty());
    assert!(mended.wake(at(600)).is_empty() && mended.wake_at().is_none());
    let mut moment = begin("unavailable", 2, "503");
    assert!(moment.wake(at(600)).is_empty());
    let mut of_folder = begin("unreadable", 0, "its folder cannot be listed: permission denied");
    assert!(of_folder.wake(at(600)).is_empty());
    let mut shown = begin("too-large", 0, "9 MB");
    assert!(shown.published(state(&[("a", record("u1", "x"))]), at(5)).is_empty());
    assert!(shown.wake(at(60)).is_empty(), "it is mended by now");
}

#[test]
fn after_a_restart_a_url_that_is_still_dead_is_told_once_more_and_so_is_its_end() {
    let dead = || record("", "x");
    let mut notices = Notices::new(state(&[("a", dead())]), at(0));
    assert!(notices.wake(at(59)).is_empty());
    assert_eq!(said(&notices.wake(at(60))), ["risk a lapsed"]);
    assert!(notices.event(&uploaded("u2"), at(70)).is_empty(), "readers do not find it yet");
    let told = said(&notices.published(state(&[("a", record("u2", "x"))]), at(71)));
    assert_eq!(told, ["change a new", "recover a lapsed of risk"]);
    let mut mended = Notices::new(state(&[("a", dead())]), at(0));
    drop(mended.event(&uploaded("u2"), at(5)));
    assert_eq!(said(&mended.published(state(&[("a", record("u2", "x"))]), at(6))), ["change a new"]);
    assert!(mended.wake(at(600)).is_empty() && mended.wake_at().is_none());
}

/// What was told of this account.
fn of_account(class: &str) -> Owed {
    let told = Told { class: class.into(), detail: "as before".into() };
    Owed { accounts: [(plivo(), told)].into(), ..Owed::default() }
}

/// After a restart that was preceded by this.
fn after_owing(owed: &Owed) -> Notices {
    let mut notices = Notices::new(state(&[("a", record("u1", "x"))]), at(0));
    assert!(notices.recall(owed.clone(), |_| true, at(0)).is_empty());
    notices
}

/// After a restart that was preceded by this trouble of the account.
fn after(kind: &str) -> Notices {
    let notices = after_owing(&of_account(kind));
    // An account tells by itself what is still wrong with it; of credentials it does so at once.
    assert_eq!(notices.wake_at(), (kind == CREDENTIALS_MISSING).then(|| at(60)));
    notices
}

#[test]
fn an_account_that_is_mended_by_a_restart_is_told_to_be_so_once_it_answers() {
    for kind in ["credentials-refused", "unavailable", CREDENTIALS_MISSING] {
        let mut mended = after(kind);
        assert!(mended.event(&failed(1, FailureClass::Unavailable), at(1)).is_empty());
        let other = Event::Renewed {
            key: key("a", "bandwidth"),
            url: "u".into(),
            expires_at: at(9),
            from_kept_copy: false,
        };
        assert!(mended.event(&other, at(2)).is_empty(), "that is another one");
        assert_eq!(said(&mended.event(&renewed("u1"), at(3))), [format!("recover plivo {kind} of failure")]);
        assert!(mended.event(&renewed("u1"), at(4)).is_empty(), "told once");
    }
}

#[test]
fn credentials_that_a_restart_finds_are_told_to_be_there_a_minute_later() {
    let mut found = after(CREDENTIALS_MISSING);
    assert!(found.wake(at(59)).is_empty());
    assert_eq!(said(&found.wake(at(60))), ["recover plivo credentials-missing of failure"]);
    assert!(found.owed().is_empty() && found.event(&renewed("u1"), at(61)).is_empty());
    let mut missing_still = after(CREDENTIALS_MISSING);
    let unusable = Event::AccountUnusable { provider: plivo(), detail: "none".into(), connected: false };
    assert_eq!(said(&missing_still.event(&unusable, at(1))), ["failure plivo credentials-missing"]);
    assert!(missing_still.wake(at(600)).is_empty() && missing_still.wake_at().is_none());
    let usable = Event::AccountUsable { provider: plivo() };
    assert_eq!(
        said(&missing_still.event(&usable, at(601))),
        ["recover plivo credentials-missing of failure"]
    );
}

#[test]
fn an_account_that_is_as_wrong_after_a_restart_is_told_once_more_and_so_is_its_end() {
    let (provider, class) = (plivo(), FailureClass::CredentialsRefused);
    let mut notices = after("credentials-refused");
    let stopped = Event::AccountStopped { provider, class, detail: "401".into() };
    assert_eq!(said(&notices.event(&stopped, at(1))), ["failure plivo credentials-refused"]);
    assert!(notices.event(&renewed("u1"), at(2)).is_empty(), "one that was under way says nothing");
    let recovered = Event::AccountRecovered { provider: plivo() };
    assert_eq!(said(&notices.event(&recovered, at(3))), ["recover plivo credentials-refused of failure"]);
}

#[test]
fn the_end_of_what_a_restart_left_open_names_what_was_told_last() {
    let (provider, class) = (plivo(), FailureClass::Unavailable);
    let mut notices = after(CREDENTIALS_MISSING);
    let stopped = Event::AccountStopped { provider, class, detail: "503".into() };
    assert_eq!(said(&notices.event(&stopped, at(1))), ["failure plivo unavailable"]);
    assert!(notices.event(&Event::AccountRecovered { provider: plivo() }, at(2)).is_empty());
    assert_eq!(said(&notices.event(&renewed("u1"), at(3))), ["recover plivo unavailable of failure"]);
}

#[test]
fn what_was_wrong_with_an_account_before_hides_no_failure_of_an_entry() {
    let mut notices = after("unavailable");
    let told = notices.event(&failed(3, FailureClass::Unexpected), at(1));
    assert_eq!(said(&told), ["failure a unexpected"]);
}

#[test]
fn an_end_is_owed_through_any_number_of_restarts_and_told_once() {
    let (provider, class) = (plivo(), FailureClass::Unavailable);
    let mut first = Notices::new(state(&[("a", record("u1", "x"))]), at(0));
    assert_eq!(first.owed(), Owed::default());
    let stopped = Event::AccountStopped { provider, class, detail: "as before".into() };
    drop(first.event(&stopped, at(1)));
    assert_eq!(first.owed(), of_account("unavailable"));
    let second = after_owing(&first.owed());
    let mut third = after_owing(&second.owed());
    assert_eq!(third.owed(), first.owed());
    assert_eq!(said(&third.event(&renewed("u1"), at(2))), ["recover plivo unavailable of failure"]);
    assert!(third.owed().is_empty());
    assert!(after_owing(&third.owed()).event(&renewed("u1"), at(3)).is_empty());
}

#[test]
fn what_was_wrong_with_an_account_that_is_gone_is_over() {
    let recall = |records: &[(&str, Record)], has: bool| {
        let mut notices = Notices::new(state(records), at(0));
        let told = notices.recall(of_account("unavailable"), |_| has, at(0));
        (said(&told), notices.owed().is_empty())
    };
    let over = vec!["recover plivo unavailable of failure".to_owned()];
    for records in [&[][..], &[("a", record("u1", "x"))]] {
        assert_eq!(recall(records, false), (over.clone(), true), "no upload would end it");
        assert_eq!(recall(records, true), (vec![], false));
    }
}

#[test]
fn a_manifest_that_was_mended_before_a_restart_is_told_to_be_so_a_minute_later() {
    let broken = |source, at_start| {
        let unusable = Unusable::new(source, "a.toml", "a slip");
        Event::ManifestUnusable { unusable, at_start }
    };
    let (manifest, config) = (SourceName::Manifest, SourceName::Config);
    let mut before = Notices::new(state(&[]), at(0));
    drop(before.event(&broken(manifest, false), at(1)));
    drop(before.event(&broken(config, false), at(2)));
    let owed = before.owed();
    assert_eq!(owed.system.len(), 2, "{owed:?}");
    let ends = ["recover config config-unusable of failure", "recover manifest manifest-unusable of failure"];

    let mut mended = after_owing(&owed);
    assert!(mended.wake(at(59)).is_empty());
    assert_eq!(mended.owed(), owed, "another restart until then forgets nothing");
    assert_eq!(mended.wake_at(), Some(at(60)));
    assert_eq!(said(&mended.wake(at(60))), ends);
    assert!(mended.owed().is_empty() && mended.wake_at().is_none());

    // One of them is still broken, so that nobody knows about the other.
    let mut broken_still = after_owing(&owed);
    let told = broken_still.event(&broken(config, true), at(1));
    assert_eq!(said(&told), ["failure config config-unusable"]);
    assert!(broken_still.wake(at(600)).is_empty() && broken_still.wake_at().is_none());
    assert_eq!(said(&broken_still.event(&Event::ManifestUsable, at(601))), ends);
    assert!(broken_still.owed().is_empty());
}

#[test]
fn nothing_is_owed_of_what_is_recorded_or_looked_at_anew() {
    let mut notices = Notices::new(state(&[("a", record("u1", "x"))]), at(0));
    let told = [
        notices.event(&Event::FolderUnusable { detail: "gone".into() }, at(1)),
        notices.event(&Event::StateUnwritable { detail: "full".into() }, at(1)),
        notices.event(&failed(3, FailureClass::Unavailable), at(1)),
    ];
    assert!(told.iter().all(|told| told.len() == 1), "{told:?}");
    assert!(notices.owed().is_empty());
}
