//! Providers that store media, and really forget them: by true time, which nobody's clock can change.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use fastrand::Rng;
use mediakeep::domain::asset::{ContentHash, MediaId, ProviderName};
use mediakeep::domain::failure::{Failure, FailureClass};

use super::folder::{Bytes, is_spoilt};
use super::script::Trouble;

/// A media as its provider holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Media {
    pub(crate) hash: ContentHash,
    pub(crate) dies_at_ms: i64,
}

/// What is to become of a request.
#[derive(Debug)]
pub(crate) struct Fate {
    /// How long after it was sent the media is stored, if it is.
    pub(crate) stored_after_ms: Option<i64>,
    /// How long after it was sent the client knows.
    pub(crate) told_after_ms: i64,
    pub(crate) failure: Option<Failure>,
}

#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: ProviderName,
    /// How many uploads it takes at once and in a second, as its manifest says.
    pub(crate) concurrency: usize,
    retention_ms: i64,
    /// By ID: a look at all of them is for IDs.
    media: HashMap<Box<str>, Media>,
    /// What comes before the ID in each URL.
    url_prefix: String,
    /// Which of its media it has lost before their time, until they are stored again.
    swept: BTreeMap<Box<str>, i64>,
    /// When such media were stored again: whoever looked just before that rightly says that they are gone.
    restored: BTreeMap<Box<str>, i64>,
    /// Present troubles, by their scenes.
    troubles: BTreeMap<usize, Trouble>,
    pub(crate) stored: u64,
    named: u64,
}

/// Sweeps come at most so much too early.
const EARLY_MS: i64 = 30_000;
/// An answer about what is there, and what follows from it, is older by no more than this when readers see it.
const ANSWER_AGE_MAX_MS: i64 = 60_000;
/// How often in a hundred 500s the media was stored.
const STORED_DESPITE_500: u32 = 10;

impl Provider {
    pub(crate) fn new(name: &str, retention_ms: i64, concurrency: usize) -> Self {
        Self {
            name: ProviderName::new(name).expect("a good name"),
            concurrency,
            retention_ms,
            media: HashMap::new(),
            url_prefix: format!("https://{name}.example/"),
            swept: BTreeMap::new(),
            restored: BTreeMap::new(),
            troubles: BTreeMap::new(),
            stored: 0,
            named: 0,
        }
    }

    pub(crate) fn begin(&mut self, scene: usize, trouble: Trouble) {
        self.troubles.insert(scene, trouble);
    }

    pub(crate) fn end(&mut self, scene: usize) {
        self.troubles.remove(&scene);
    }

    /// A name for a media that has none.
    pub(crate) fn next_id(&mut self) -> MediaId {
        self.named += 1;
        MediaId::new(&format!("m-{:08}", self.named)).expect("a good id")
    }

    pub(crate) fn url(&self, id: &MediaId) -> Box<str> {
        self.url_of(id.as_str())
    }

    fn url_of(&self, id: &str) -> Box<str> {
        [&self.url_prefix, id].concat().into()
    }

    /// Another provider's URL has none.
    fn id_in<'u>(&self, url: &'u str) -> Option<&'u str> {
        url.strip_prefix(&self.url_prefix)
    }

    /// Decides what becomes of a request that is sent now and may take so long.
    pub(crate) fn decide(&self, bytes: &Bytes, limit: Duration, rng: &mut Rng) -> Fate {
        let limit_ms = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        let mut latency_ms = rng.i64(40..800);
        let mut fate = None;
        for trouble in self.troubles.values() {
            match *trouble {
                Trouble::IsSlow { seconds } => latency_ms += i64::from(seconds) * rng.i64(500..1000),
                Trouble::LosesAnswers { percent } if rng.u8(0..100) < percent => {
                    fate = Some(lost(latency_ms, rng));
                }
                Trouble::IsFlaky { percent } if rng.u8(0..100) < percent => {
                    fate = Some(any_failure(latency_ms, limit_ms, rng));
                }
                Trouble::LosesAnswers { .. } | Trouble::IsFlaky { .. } => {}
                total => fate = Some(failure(total, latency_ms, limit_ms, rng)),
            }
        }
        let fate = fate.unwrap_or_else(|| {
            if is_spoilt(bytes) {
                return refused(FailureClass::ContentRefused, 415, latency_ms);
            }
            Fate { stored_after_ms: Some(rng.i64(1..=latency_ms)), told_after_ms: latency_ms, failure: None }
        });
        // Whoever answers too late is not heard any more; what it stored is stored.
        if fate.told_after_ms > limit_ms {
            return Fate { told_after_ms: limit_ms, failure: Some(silence("no answer in time")), ..fate };
        }
        fate
    }

    /// Stores a media; says until when.
    pub(crate) fn store(&mut self, url: &str, bytes: &Bytes, now_ms: i64, rng: &mut Rng) -> i64 {
        self.stored += 1;
        let dies_at_ms = now_ms + self.retention_ms - rng.i64(0..EARLY_MS);
        let id = self.id_in(url).expect("a provider is given its own URLs");
        self.media.insert(id.into(), Media { hash: ContentHash::of(bytes), dies_at_ms });
        if self.swept.remove(url).is_some() {
            self.restored.insert(url.into(), now_ms);
        }
        dies_at_ms
    }

    /// The media behind a URL.
    pub(crate) fn find(&self, url: &str) -> Option<Media> {
        self.media.get(self.id_in(url)?).copied()
    }

    /// Whether there is a media with this ID.
    pub(crate) fn holds(&self, id: &MediaId) -> bool {
        self.media.contains_key(id.as_str())
    }

    /// Why a question is not answered at present, if so.
    pub(crate) fn silence(&self) -> Option<Failure> {
        let mut deaf = self.troubles.values().filter(|trouble| {
            !matches!(
                trouble,
                Trouble::IsSlow { .. } | Trouble::LosesAnswers { .. } | Trouble::IsFlaky { .. }
            )
        });
        deaf.next().map(|_| Failure::without_answer(FailureClass::Unavailable, "down"))
    }

    /// Whether the provider lost what was there before its time.
    pub(crate) fn has_swept(&self, url: &str) -> bool {
        self.swept.contains_key(url)
    }

    /// The same, or that it was so when an answer that arrives now was given.
    pub(crate) fn has_swept_lately(&self, url: &str, now_ms: i64) -> bool {
        let lately = |at_ms: &i64| now_ms - at_ms < ANSWER_AGE_MAX_MS;
        self.has_swept(url) || self.restored.get(url).is_some_and(lately)
    }

    /// The end of what was stored until this moment. Whether it was still there.
    pub(crate) fn expire(&mut self, url: &str, now_ms: i64) -> bool {
        self.swept.retain(|_, until| *until > now_ms);
        self.restored.retain(|_, at_ms| now_ms - *at_ms < ANSWER_AGE_MAX_MS);
        let Some(id) = self.id_in(url) else { return false };
        let ended = self.media.get(id).is_some_and(|media| media.dies_at_ms <= now_ms);
        if ended {
            self.media.remove(id);
        }
        ended
    }

    /// Loses some media; says which.
    pub(crate) fn lose(&mut self, percent: u8, rng: &mut Rng) -> Vec<Box<str>> {
        let mut ids: Vec<Box<str>> = self.media.keys().cloned().collect();
        ids.sort_unstable();
        ids.retain(|_| rng.u8(0..100) < percent);
        let urls: Vec<Box<str>> = ids.iter().map(|id| self.url_of(id)).collect();
        for (id, url) in ids.iter().zip(&urls) {
            if let Some(media) = self.media.remove(id) {
                // It stays lost as long as anybody may count on it.
                self.swept.insert(url.clone(), media.dies_at_ms + self.retention_ms);
            }
        }
        urls
    }
}

fn silence(what: &str) -> Failure {
    Failure::without_answer(FailureClass::Ambiguous, what)
}

fn refused(class: FailureClass, status: u16, latency_ms: i64) -> Fate {
    let failure = Failure { status: Some(status), ..Failure::without_answer(class, format!("{class}")) };
    Fate { stored_after_ms: None, told_after_ms: latency_ms, failure: Some(failure) }
}

/// The media is stored, and the answer is lost.
fn lost(latency_ms: i64, rng: &mut Rng) -> Fate {
    let stored_after_ms = Some(rng.i64(1..=latency_ms));
    Fate { stored_after_ms, told_after_ms: latency_ms, failure: Some(silence("the answer was cut off")) }
}

fn failure(trouble: Trouble, latency_ms: i64, limit_ms: i64, rng: &mut Rng) -> Fate {
    match trouble {
        Trouble::Refuses => {
            let failure = Failure::without_answer(FailureClass::Unreachable, "connection refused");
            Fate { stored_after_ms: None, told_after_ms: 2, failure: Some(failure) }
        }
        Trouble::TimesOut => {
            Fate { stored_after_ms: None, told_after_ms: limit_ms, failure: Some(silence("no answer")) }
        }
        Trouble::Throttles { retry_after_s } => {
            let mut fate = refused(FailureClass::Throttled, 429, latency_ms);
            if let Some(failure) = &mut fate.failure {
                failure.retry_after = retry_after_s.map(|seconds| Duration::from_secs(u64::from(seconds)));
            }
            fate
        }
        Trouble::Revokes => refused(FailureClass::CredentialsRefused, 401, latency_ms),
        _ => {
            let stored = rng.u32(0..100) < STORED_DESPITE_500;
            let fate = refused(FailureClass::Unavailable, 500, latency_ms);
            Fate { stored_after_ms: stored.then(|| rng.i64(1..=latency_ms)), ..fate }
        }
    }
}

fn any_failure(latency_ms: i64, limit_ms: i64, rng: &mut Rng) -> Fate {
    let retry_after_s = Some(rng.u32(1..100));
    let total = match rng.u32(0..5) {
        0 => Trouble::Refuses,
        1 => Trouble::TimesOut,
        2 => Trouble::Throttles { retry_after_s },
        3 => return lost(latency_ms, rng),
        _ => Trouble::Fails,
    };
    failure(total, latency_ms, limit_ms, rng)
}
