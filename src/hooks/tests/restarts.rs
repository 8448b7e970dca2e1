//! What one process keeps for the next: whose end is owed.

use super::*;

/// A process whose hooks are told of an account, and what they keep for the next one.
struct Life {
    hooks: Hooks,
    observer: Box<dyn Observer>,
}

impl Life {
    fn begin(folder: &Path, hooks: Vec<Hook>) -> Self {
        let (lookups, clock) = (Arc::new(ProcessEnvironment), Arc::new(SystemClock::new()));
        let state_file = folder.join("state.json");
        let hooks = Hooks::start(&manifest(hooks), state_file, lookups, clock, Arc::default());
        let observer = hooks.hearing(Box::new(Nobody));
        // Something is kept alive at the account.
        let current = handle(b"1", Timestamp::from_unix_ms(0), &LeaseTerms::new(LONG, None));
        let record = Arc::new(Record { current: Some(current), ..Record::default() });
        let records = [(key("a", "plivo"), record)].into_iter().collect();
        observer.readers().unwrap()(&State { lineage: "l".into(), serial: 1, root: None, records });
        Self { hooks, observer }
    }

    fn account_stops(&mut self) {
        let (provider, class) = (ProviderName::new("plivo").unwrap(), FailureClass::CredentialsRefused);
        self.observer.event(&Event::AccountStopped { provider, class, detail: "401".to_owned() });
    }

    fn account_answers(&mut self) {
        let (key, url) = (key("a", "plivo"), "u".into());
        let expires_at = Timestamp::from_unix_ms(0);
        self.observer.event(&Event::Renewed { key, url, expires_at, from_kept_copy: false });
    }

    async fn end(self) {
        self.hooks.stop().await;
    }
}

#[tokio::test]
async fn the_end_of_an_accounts_trouble_is_told_once_however_many_restarts_come_between() {
    let folder = tempfile::tempdir().unwrap();
    let (failures, ends) = (folder.path().join("failures"), folder.path().join("ends"));
    let told = [(Topic::Failure, &failures), (Topic::Recover, &ends)];
    let hooks = || told.map(|(topic, path)| Hook { topic, target: appending(path) }).to_vec();
    let mut first = Life::begin(folder.path(), hooks());
    first.account_stops();
    first.end().await;
    assert_eq!(lines(&failures, 1).await[0]["accounts"][0]["class"], "credentials-refused");
    for _ in 0..2 {
        Life::begin(folder.path(), hooks()).end().await;
    }
    assert!(!ends.exists());
    for _ in 0..2 {
        let mut last = Life::begin(folder.path(), hooks());
        last.account_answers();
        last.end().await;
    }
    let [body] = &lines(&ends, 1).await[..] else { panic!("told once") };
    assert_eq!(body["accounts"][0]["class"], "credentials-refused", "{body}");
    assert_eq!(body["accounts"][0]["over"], "failure");
    assert!(!folder.path().join("told.json").exists(), "nothing is owed");
}

#[tokio::test]
async fn an_end_that_could_not_be_told_before_a_stop_is_told_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let ends = folder.path().join("ends");
    let hooks = |end: Target| {
        let heard = Hook { topic: Topic::Failure, target: bash("true") };
        vec![heard, Hook { topic: Topic::Recover, target: end }]
    };
    let mut first = Life::begin(folder.path(), hooks(appending(&ends)));
    first.account_stops();
    first.end().await;
    let mut second = Life::begin(folder.path(), hooks(bash("exit 1")));
    second.account_answers();
    second.end().await;
    for _ in 0..2 {
        let mut next = Life::begin(folder.path(), hooks(appending(&ends)));
        next.account_answers();
        next.end().await;
    }
    assert_eq!(lines(&ends, 1).await.len(), 1);
    assert!(!folder.path().join("told.json").exists(), "nothing is owed");
}

#[tokio::test]
async fn without_hooks_no_end_is_owed() {
    let folder = tempfile::tempdir().unwrap();
    let told_file = folder.path().join("told.json");
    let hook = || vec![Hook { topic: Topic::Failure, target: bash("true") }];
    let mut first = Life::begin(folder.path(), hook());
    first.account_stops();
    first.end().await;
    assert!(told_file.exists());
    Life::begin(folder.path(), Vec::new()).end().await;
    assert!(!told_file.exists());
}
