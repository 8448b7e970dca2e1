//! The accounts: has their credentials looked up, and holds what they connect to.
//!
//! A secret may lie on a disk that does not answer, so files are read on threads of their own. The loop never waits
//! for one: what was found before stays in use.

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::board::Board;
use super::limiter::Limiter;
use super::{Inbox, Message, guarded};
use crate::domain::asset::ProviderName;
use crate::domain::manifest::{Manifest, ProviderConfig, Rate, Setting};
use crate::domain::reconciler::Input;
use crate::provider::credentials::{CredentialError, Lookups, Mark, resolve_all, unresolved};
use crate::provider::http::HttpClient;
use crate::provider::{Provider, connect_with};

/// What a connected account is used with.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) limiter: Arc<Limiter>,
}

pub(super) struct Accounts {
    /// Those of every manifest that was in force: entries of one that vanished may still need it.
    configs: BTreeMap<ProviderName, ProviderConfig>,
    connected: BTreeMap<ProviderName, Account>,
    /// What tells the credentials of each that were found last from others.
    marks: BTreeMap<ProviderName, Mark>,
    limiters: BTreeMap<ProviderName, (Rate, Arc<Limiter>)>,
    threads: BTreeMap<ProviderName, Threads>,
    source: Source,
    inbox: Inbox,
}

/// What credentials are looked up with.
#[derive(Clone)]
struct Source {
    lookups: Arc<dyn Lookups>,
    http: HttpClient,
    /// Makes marks that mean nothing outside this process.
    marker: RandomState,
    /// Where requests are counted.
    board: Arc<Board>,
}

/// What a look-up found.
type Connection = (Arc<dyn Provider>, Mark);

/// The threads that look up one account's credentials.
#[derive(Debug, Default)]
struct Threads {
    /// Counts look-ups.
    last: u64,
    /// The one whose answer counts, and when it has taken too long; `None` once that was told. Any other is about a
    /// table that was replaced meanwhile.
    current: Option<(u64, Option<Instant>)>,
    /// How many are out.
    out: usize,
    /// Whether it was asked for once more meanwhile.
    again: bool,
}

/// What a look-up came to.
pub(super) struct Answer {
    provider: ProviderName,
    number: u64,
    result: Result<Connection, String>,
}

impl Accounts {
    pub(super) fn new(
        manifest: &Manifest,
        lookups: Arc<dyn Lookups>,
        board: Arc<Board>,
        inbox: Inbox,
    ) -> Self {
        Self {
            configs: manifest.providers.clone(),
            connected: BTreeMap::new(),
            marks: BTreeMap::new(),
            limiters: BTreeMap::new(),
            threads: BTreeMap::new(),
            source: Source { lookups, http: HttpClient::new(), marker: RandomState::new(), board },
            inbox,
        }
    }

    /// Goes by another manifest. What is being looked up for a table that was replaced counts no more.
    pub(super) fn follow(&mut self, manifest: &Manifest) {
        for (name, config) in &manifest.providers {
            let before = self.configs.insert(name.clone(), config.clone());
            if before.as_ref().is_some_and(|before| !std::ptr::eq(before.kind, config.kind)) {
                // What is meant for one kind of provider must never reach another.
                self.connected.remove(name);
            }
            if before.as_ref() != Some(config)
                && let Some(threads) = self.threads.get_mut(name)
            {
                (threads.current, threads.again) = (None, false);
            }
        }
    }

    pub(super) fn get(&self, name: &ProviderName) -> Option<Account> {
        self.connected.get(name).cloned()
    }

    /// Looks up a provider's credentials (again): whose account it is, or which reference leads nowhere. `None`
    /// where a thread does that; then the answer is a [`Message::Connected`], or comes with [`Self::overdue`].
    pub(super) fn look_up(&mut self, name: &ProviderName) -> Option<Input> {
        let Some(config) = self.configs.get(name) else {
            let result = Err("no manifest ever had a table for it".to_owned());
            return Some(Input::Account { provider: name.clone(), result, is_new: false });
        };
        if !reads_files(config) {
            let result = self.source.connect(name, config);
            return Some(self.conclude(name, result));
        }
        let threads = self.threads.entry(name.clone()).or_default();
        match threads.current {
            // Whatever was changed since it began is seen by the next one.
            Some((_, overdue_at)) => {
                threads.again = true;
                overdue_at.is_none().then(|| hangs(name))
            }
            None if threads.out >= THREADS_MAX => {
                threads.again = true;
                Some(hangs(name))
            }
            None => {
                self.start(name);
                None
            }
        }
    }

    fn start(&mut self, name: &ProviderName) {
        let Some(config) = self.configs.get(name).cloned() else { return };
        let threads = self.threads.entry(name.clone()).or_default();
        threads.last += 1;
        threads.out += 1;
        threads.again = false;
        let number = threads.last;
        threads.current = Some((number, Some(Instant::now() + PATIENCE)));
        let (source, inbox, provider) = (self.source.clone(), self.inbox.clone(), name.clone());
        let again = (inbox.clone(), provider.clone());
        let work = move || {
            let result = guarded(|| source.connect(&provider, &config));
            drop(inbox.send(Message::Connected(Answer { provider, number, result })));
        };
        if let Err(error) = std::thread::Builder::new().name("credentials".to_owned()).spawn(work) {
            let (inbox, provider) = again;
            let result = Err(format!("no thread can be started to read its credentials: {error}"));
            drop(inbox.send(Message::Connected(Answer { provider, number, result })));
        }
    }

    /// A thread is back. What it found, if that still counts.
    pub(super) fn answered(&mut self, answer: Answer) -> Option<Input> {
        let Answer { provider, number, result } = answer;
        let threads = self.threads.get_mut(&provider)?;
        threads.out = threads.out.saturating_sub(1);
        let counts = threads.current.is_some_and(|(current, _)| current == number);
        if counts {
            threads.current = None;
        }
        if threads.current.is_none() && threads.again {
            self.start(&provider);
        }
        counts.then(|| self.conclude(&provider, result))
    }

    /// Whether an answer is still to come within its time.
    pub(super) fn is_looking_up(&self) -> bool {
        self.patience_ends().is_some()
    }

    /// When the next look-up has taken too long.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        self.threads.values().filter_map(|threads| threads.current?.1).min()
    }

    /// What takes too long. Each is said once; an answer that comes after all counts all the same.
    pub(super) fn overdue(&mut self) -> Vec<Input> {
        let now = Instant::now();
        let mut inputs = Vec::new();
        for (name, threads) in &mut self.threads {
            if let Some((_, overdue_at)) = &mut threads.current
                && overdue_at.take_if(|at| *at <= now).is_some()
            {
                inputs.push(hangs(name));
            }
        }
        inputs
    }

    fn conclude(&mut self, name: &ProviderName, result: Result<Connection, String>) -> Input {
        let mark = result.as_ref().ok().map(|(_, mark)| *mark);
        let is_new = mark.is_some_and(|mark| self.marks.insert(name.clone(), mark) != Some(mark));
        let result = result.map(|(provider, _)| {
            let scope = provider.scope().clone();
            if let Some(limiter) = self.limiter(name) {
                self.connected.insert(name.clone(), Account { provider, limiter });
            }
            scope
        });
        Input::Account { provider: name.clone(), result, is_new }
    }

    /// The account's limiter: the same one as long as the rate is, so that reading credentials again grants nothing.
    fn limiter(&mut self, name: &ProviderName) -> Option<Arc<Limiter>> {
        let rate = self.configs.get(name)?.rate;
        let present = self.limiters.get(name).filter(|(present, _)| *present == rate);
        if let Some((_, limiter)) = present {
            return Some(limiter.clone());
        }
        let limiter = Arc::new(Limiter::new(rate));
        self.limiters.insert(name.clone(), (rate, limiter.clone()));
        Some(limiter)
    }
}

impl Source {
    fn connect(&self, name: &ProviderName, config: &ProviderConfig) -> Result<Connection, String> {
        let http = self.http.counted(self.board.tally(name));
        let found = resolve_all(name, config, &*self.lookups);
        let connected = found
            .and_then(|settings| Ok((connect_with(&settings, config, &http)?, settings.mark(&self.marker))));
        connected.map_err(|error| self.why_not(name, config, &error))
    }

    /// Everything that is missing, not only the first of it.
    fn why_not(&self, name: &ProviderName, config: &ProviderConfig, error: &CredentialError) -> String {
        let first = error.to_string();
        let others = unresolved(name, config, &*self.lookups).into_iter().filter(|other| other != error);
        let others = others.map(|CredentialError { key, problem, .. }| format!("; {key}: {problem}"));
        std::iter::once(first).chain(others).collect()
    }
}

fn reads_files(config: &ProviderConfig) -> bool {
    config.settings.values().any(|setting| match setting {
        Setting::File(_) | Setting::Credential(_) => true,
        Setting::Literal(_) | Setting::Env(_) => false,
    })
}

fn hangs(name: &ProviderName) -> Input {
    let result =
        Err("reading its credentials takes too long; see whether their disk or mount answers".to_owned());
    Input::Account { provider: name.clone(), result, is_new: false }
}

/// So long a look-up may take before that is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// Per account. More than one is out only where its table was replaced while one hung: that may be the remedy.
const THREADS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Mutex, PoisonError};

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::daemon::testing::manifest_of;

    /// The folder of credentials is named when somebody sends it, and not before.
    struct Slow {
        asked: Sender<()>,
        folder: Mutex<Receiver<OsString>>,
    }

    impl Lookups for Slow {
        fn variable(&self, name: &str) -> Option<OsString> {
            assert_eq!(name, "CREDENTIALS_DIRECTORY");
            self.asked.send(()).unwrap();
            self.folder.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
        }
    }

    struct Scene {
        folder: tempfile::TempDir,
        accounts: Accounts,
        messages: UnboundedReceiver<Message>,
        asked: Receiver<()>,
        answer: Sender<OsString>,
    }

    fn text(auth_id: &str, token: &str) -> String {
        format!(
            "version = 1\n[provider.plivo]\nkind = \"plivo\"\nauth_id = \"{auth_id}\"\nauth_token = {token}\n"
        )
    }

    const CREDENTIAL: &str = "{ credential = \"token\" }";

    fn plivo() -> ProviderName {
        ProviderName::new("plivo").unwrap()
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            crate::daemon::testing::put(&folder.path().join("token"), "secret");
            let (asked_by, asked) = channel();
            let (answer, waiting) = channel();
            let (inbox, messages) = unbounded_channel();
            let manifest = manifest_of(folder.path(), &text("MAFIRST", CREDENTIAL));
            let lookups = Arc::new(Slow { asked: asked_by, folder: Mutex::new(waiting) });
            let accounts = Accounts::new(&manifest, lookups, Arc::default(), inbox);
            Self { folder, accounts, messages, asked, answer }
        }

        fn follow(&mut self, text: &str) {
            let manifest = manifest_of(self.folder.path(), text);
            self.accounts.follow(&manifest);
        }

        /// Lets the look-up that waits longest go on, and says what came of it.
        fn let_go(&mut self, folder: &Path) -> Option<Input> {
            self.answer.send(folder.into()).unwrap();
            let Some(Message::Connected(answer)) = self.messages.blocking_recv() else {
                panic!("something else came")
            };
            self.accounts.answered(answer)
        }

        fn asks(&self) -> usize {
            std::iter::from_fn(|| self.asked.try_recv().ok()).count()
        }
    }

    fn account(input: Option<Input>) -> Option<Result<String, String>> {
        match input? {
            Input::Account { result, .. } => Some(result.map(|scope| scope.to_string())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_comes_later_and_is_asked_for_once_more_where_somebody_wished_it_meanwhile() {
        let mut scene = Scene::new();
        let good = scene.folder.path().to_owned();
        for _ in 0..3 {
            assert!(scene.accounts.look_up(&plivo()).is_none());
        }
        scene.asked.recv().unwrap();
        assert_eq!(scene.asks(), 0, "never two at once");
        assert_eq!(account(scene.let_go(&good)), Some(Ok("MAFIRST".to_owned())));
        scene.asked.recv().unwrap();
        assert_eq!(account(scene.let_go(&good)), Some(Ok("MAFIRST".to_owned())));
        assert!(!scene.accounts.is_looking_up(), "three wishes, two look-ups");
    }

    #[test]
    fn a_late_answer_about_a_table_that_was_replaced_does_not_count() {
        let mut scene = Scene::new();
        let good = scene.folder.path().to_owned();
        assert!(scene.accounts.look_up(&plivo()).is_none());
        scene.asked.recv().unwrap();
        scene.follow(&text("MASECOND", CREDENTIAL));
        assert!(scene.accounts.look_up(&plivo()).is_none());
        scene.asked.recv().unwrap();
        let answers = [scene.let_go(&good), scene.let_go(&good)].map(account);
        let counted: Vec<_> = answers.into_iter().flatten().collect();
        assert_eq!(counted, [Ok("MASECOND".to_owned())]);
        assert_eq!(scene.accounts.get(&plivo()).unwrap().provider.scope().to_string(), "MASECOND");
    }

    #[test]
    fn a_connection_is_kept_for_another_table_of_its_kind_and_for_no_other_kind() {
        let mut scene = Scene::new();
        let good = scene.folder.path().to_owned();
        assert!(scene.accounts.look_up(&plivo()).is_none());
        assert!(scene.let_go(&good).is_some());
        scene.follow(&text("MASECOND", CREDENTIAL));
        assert_eq!(scene.accounts.get(&plivo()).unwrap().provider.scope().to_string(), "MAFIRST");
        scene.follow(
            "version = 1\n[provider.plivo]\nkind = \"bandwidth\"\naccount_id = \"1\"\nusername = \"u\"\n\
             password = { credential = \"token\" }\n",
        );
        assert!(scene.accounts.get(&plivo()).is_none());
    }

    #[test]
    fn other_credentials_are_told_from_the_same_ones_read_again() {
        let mut scene = Scene::new();
        let good = scene.folder.path().to_owned();
        for (secret, expected) in [("secret", true), ("secret", false), ("another", true), ("another", false)]
        {
            crate::daemon::testing::put(&good.join("token"), secret);
            assert!(scene.accounts.look_up(&plivo()).is_none());
            let Some(Input::Account { result: Ok(_), is_new, .. }) = scene.let_go(&good) else {
                panic!("it was not found")
            };
            assert_eq!(is_new, expected, "{secret}");
        }
    }

    #[test]
    fn reading_credentials_again_grants_no_new_requests_and_another_rate_counts_at_once() {
        let mut scene = Scene::new();
        let good = scene.folder.path().to_owned();
        let with_rate = |rate: &str| format!("{}rate = \"{rate}\"\n", text("MAFIRST", CREDENTIAL));
        let mut limiters: Vec<Arc<Limiter>> = Vec::new();
        for (rate, secret, same) in [
            ("5/s", "secret", false),
            ("5/s", "secret", true),
            ("5/s", "another", true),
            ("4/s", "another", false),
            ("4/s", "another", true),
        ] {
            crate::daemon::testing::put(&good.join("token"), secret);
            scene.follow(&with_rate(rate));
            assert!(scene.accounts.look_up(&plivo()).is_none());
            assert!(scene.let_go(&good).is_some());
            let limiter = scene.accounts.get(&plivo()).unwrap().limiter;
            let is_same = limiters.last().is_some_and(|before| Arc::ptr_eq(before, &limiter));
            assert_eq!(is_same, same, "{rate}, {secret}");
            limiters.push(limiter);
        }
    }

    #[test]
    fn tables_that_are_replaced_on_and_on_do_not_fill_the_machine_with_threads() {
        let mut scene = Scene::new();
        for number in 0..10 {
            scene.follow(&text(&format!("MANUMBER{number}"), CREDENTIAL));
            let hangs = scene.accounts.look_up(&plivo());
            assert_eq!(hangs.is_some(), number >= THREADS_MAX, "{number}");
        }
        for _ in 0..THREADS_MAX {
            scene.asked.recv().unwrap();
        }
        assert_eq!(scene.asks(), 0);
        let good = scene.folder.path().to_owned();
        let mut last = None;
        for _ in 0..=THREADS_MAX {
            last = account(scene.let_go(&good)).or(last);
        }
        assert_eq!(last, Some(Ok("MANUMBER9".to_owned())), "the last one is looked up in the end");
    }

    #[test]
    fn a_table_that_needs_no_file_is_served_at_once_even_while_an_older_one_hangs() {
        let mut scene = Scene::new();
        assert!(scene.accounts.look_up(&plivo()).is_none());
        scene.asked.recv().unwrap();
        let good = scene.folder.path().to_owned();
        scene.follow(&text("MASECOND", "{ env = \"CREDENTIALS_DIRECTORY\" }"));
        scene.answer.send(good.clone().into()).unwrap();
        // One of the two takes that answer, whichever it is: the other one needs another.
        scene.answer.send(good.into()).unwrap();
        assert_eq!(account(scene.accounts.look_up(&plivo())), Some(Ok("MASECOND".to_owned())));
        let Some(Message::Connected(late)) = scene.messages.blocking_recv() else { panic!("nothing came") };
        assert!(scene.accounts.answered(late).is_none());
        assert_eq!(scene.accounts.get(&plivo()).unwrap().provider.scope().to_string(), "MASECOND");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_told_once_and_heard_all_the_same_when_it_comes_back() {
        let mut scene = Scene::new();
        assert!(scene.accounts.look_up(&plivo()).is_none());
        assert!(scene.accounts.overdue().is_empty());
        tokio::time::advance(PATIENCE).await;
        let told: Vec<_> = scene.accounts.overdue().into_iter().map(|input| account(Some(input))).collect();
        assert!(matches!(&told[..], [Some(Err(why))] if why.contains("takes too long")), "{told:?}");
        assert!(scene.accounts.overdue().is_empty() && !scene.accounts.is_looking_up());
        let asked_again = account(scene.accounts.look_up(&plivo()));
        assert!(matches!(asked_again, Some(Err(_))), "whoever asks then need not wait: {asked_again:?}");
        let good = scene.folder.path().to_owned();
        scene.answer.send(good.into()).unwrap();
        let Some(Message::Connected(answer)) = scene.messages.recv().await else { panic!("nothing came") };
        assert_eq!(account(scene.accounts.answered(answer)), Some(Ok("MAFIRST".to_owned())));
    }
}
