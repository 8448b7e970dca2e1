//! What holds for every verdict: whatever is recorded, wanted and shown by the clocks, for any retention.

use std::time::Duration;

use proptest::prelude::*;

use super::asset::{ContentHash, MediaId, MediaType, RelPath, Scope};
use super::kind::{Kind, Naming};
use super::lease::LeaseTerms;
use super::manifest::fixtures::{BANDWIDTH, PLIVO};
use super::observation::Refusal;
use super::plan::{AccountFacts, Block, Reason, Verdict, Wanted, judge};
use super::state::{Handle, Record};
use super::testing::key;
use super::time::{Now, Timestamp};

/// Saturday, 21 November 2026, in milliseconds.
const START_MS: i64 = 1_795_276_800_000;
const YEAR_MS: i64 = 366 * 86_400_000;

/// Everything that a verdict depends on.
#[derive(Clone, Debug)]
struct Case {
    kind: &'static Kind,
    terms: LeaseTerms,
    handle: Option<Handle>,
    wanted: Result<Wanted, Block>,
    scope: Option<Scope>,
    now: Now,
}

impl Case {
    fn judge(&self) -> Verdict {
        let record = self.handle.clone().map(|handle| Record { current: Some(handle), ..Record::default() });
        let account = AccountFacts { kind: self.kind, terms: &self.terms, scope: self.scope.as_ref() };
        judge(&key("brand/logo.png", "main"), self.wanted.clone(), record.as_ref(), account, self.now)
    }

    /// The same a while later, with nobody setting a clock meanwhile.
    fn after(&self, length: Duration) -> Self {
        let now = Now { wall: self.now.wall + length, steady: self.now.steady + length };
        Self { now, ..self.clone() }
    }

    /// The same after this content was sent, at once, and confirmed.
    fn with_sent(&self, wanted: &Wanted) -> Self {
        let scope = self.scope.clone().or_else(|| self.handle.as_ref().map(|handle| handle.scope.clone()));
        let handle = Handle {
            id: wanted.id.clone().unwrap_or_else(|| MediaId::new("given-by-the-provider").unwrap()),
            url: Some("https://media.example/x".into()),
            scope: scope.unwrap_or_else(|| Scope::new("one").unwrap()),
            hash: wanted.hash,
            size: wanted.size,
            content_type: wanted.content_type.clone(),
            cache_control: wanted.cache_control.clone(),
            uploaded_at: self.now.wall.floor_to_second(),
            expires_at: self.terms.end_of(self.now.wall),
            steady_expires_at: self.terms.end_of(self.now.steady),
        };
        Self { handle: Some(handle), ..self.clone() }
    }

    fn moved(&self) -> bool {
        matches!((&self.handle, &self.scope), (Some(handle), Some(scope)) if handle.scope != *scope)
    }

    fn is_from_the_future(&self) -> bool {
        let late = self.now.wall + self.terms.life;
        self.handle
            .as_ref()
            .is_some_and(|handle| handle.uploaded_at > self.now.wall || handle.expires_at > late)
    }
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![4 => Just("one"), 1 => Just("two")].prop_map(|text| Scope::new(text).unwrap())
}

/// Few values of each kind, so that two of them are often the same.
fn content() -> impl Strategy<Value = (MediaId, ContentHash, MediaType, Option<&'static str>)> {
    let id = prop_oneof![Just("a"), Just("b")].prop_map(|text| MediaId::new(text).unwrap());
    let hash = prop_oneof![Just(b"x"), Just(b"y")].prop_map(|bytes| ContentHash::of(bytes));
    let kind = prop_oneof![3 => Just("image/png"), 1 => Just("image/gif")];
    let cache = prop_oneof![3 => Just(None), 1 => Just(Some("no-cache"))];
    (id, hash, kind.prop_map(|text| MediaType::new(text).unwrap()), cache)
}

fn block() -> impl Strategy<Value = Block> {
    prop_oneof![
        Just(Block::NotLookedYet),
        Just(Block::Settling),
        Just(Block::Missing),
        Just(Block::Unreadable("permission denied".to_owned())),
        Just(Block::Refused(Refusal::Empty)),
        Just(Block::TooLarge { size: 2, max: 1 }),
        Just(Block::Type("of no known type".to_owned())),
        Just(Block::Id("no ID".to_owned())),
        Just(Block::IdTaken(RelPath::new("other.png").unwrap())),
        Just(Block::Leaving),
    ]
}

fn moment(range_ms: i64) -> impl Strategy<Value = Timestamp> {
    (-range_ms..range_ms).prop_map(|offset| Timestamp::from_unix_ms(START_MS + offset))
}

fn handle(terms: LeaseTerms) -> impl Strategy<Value = Handle> {
    // Mostly as it should be; sometimes with an end that has nothing to do with its beginning.
    let ends = prop_oneof![8 => Just(None), 1 => (moment(YEAR_MS), moment(YEAR_MS)).prop_map(Some)];
    let range_ms = i64::try_from(terms.life.as_millis() * 2).unwrap();
    (content(), scope(), any::<bool>(), moment(range_ms), ends).prop_map(
        move |((id, hash, content_type, cache_control), scope, live, sent, ends)| {
            let end = terms.end_of(sent);
            let (expires_at, steady_expires_at) = ends.unwrap_or((end, end));
            Handle {
                id,
                url: live.then(|| "https://media.example/x".into()),
                scope,
                hash,
                size: 1,
                content_type,
                cache_control: cache_control.map(Into::into),
                uploaded_at: sent.floor_to_second(),
                expires_at,
                steady_expires_at,
            }
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let margin = prop::option::of((1..40_000_000_u64).prop_map(Duration::from_secs));
    let terms = ((10..31_622_400_u64).prop_map(Duration::from_secs), margin)
        .prop_map(|(retention, margin)| LeaseTerms::new(retention, margin));
    let kind = prop_oneof![Just(&BANDWIDTH), Just(&PLIVO)];
    (kind, terms).prop_flat_map(|(kind, terms)| {
        let wanted = prop_oneof![
            2 => content().prop_map(move |(id, hash, content_type, cache_control)| {
                let id = (kind.capabilities.naming == Naming::Client).then_some(id);
                Ok(Wanted { id, hash, size: 1, content_type, cache_control: cache_control.map(Into::into) })
            }),
            1 => block().prop_map(Err),
        ];
        let range_ms = i64::try_from(terms.life.as_millis() * 2).unwrap();
        // Mostly both clocks agree.
        let jump = prop_oneof![3 => Just(0), 1 => -YEAR_MS..YEAR_MS];
        let now = (moment(range_ms), jump).prop_map(|(steady, jump)| Now {
            wall: Timestamp::from_unix_ms(steady.unix_ms() + jump),
            steady,
        });
        let handle = prop::option::weighted(0.85, handle(terms));
        let scope = prop::option::weighted(0.8, scope());
        (wanted, handle, scope, now).prop_map(move |(wanted, handle, scope, now)| Case {
            kind,
            terms,
            handle,
            wanted,
            scope,
            now,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(ProptestConfig::default().cases * 8) })]

    #[test]
    fn what_is_wanted_is_sent_or_there_or_says_why_not(case in case()) {
        let verdict = case.judge();
        match &case.wanted {
            Ok(wanted) => {
                prop_assert_eq!(&verdict.block, &None);
                let there = case.handle.as_ref().is_some_and(|handle| {
                    let same_id = wanted.id.as_ref().is_none_or(|id| *id == handle.id);
                    same_id && handle.hash == wanted.hash && handle.content_type == wanted.content_type
                        && handle.cache_control == wanted.cache_control
                }) && !case.moved();
                prop_assert_eq!(verdict.replacement.is_none(), there, "{:?}", verdict);
                prop_assert!(verdict.replacement.is_none_or(|(_, content)| content == *wanted));
            }
            Err(block) => {
                prop_assert_eq!(verdict.block.as_ref(), Some(block));
                // A block stops new content and nothing else: what moves to another account is what is recorded.
                prop_assert_eq!(verdict.replacement.is_some(), case.moved());
                if let Some((reason, content)) = &verdict.replacement {
                    prop_assert_eq!(*reason, Reason::AccountChanged);
                    prop_assert_eq!(Some(content.hash), case.handle.as_ref().map(|handle| handle.hash));
                }
            }
        }
    }

    #[test]
    fn a_reason_says_what_is_different(case in case()) {
        let Some((reason, wanted)) = case.judge().replacement else { return Ok(()) };
        prop_assert!(!reason.is_renewal(), "{:?}", reason);
        let handle = case.handle.as_ref();
        prop_assert_eq!(reason == Reason::New, handle.is_none());
        prop_assert_eq!(reason == Reason::AccountChanged, case.moved());
        let same_bytes = handle.is_some_and(|handle| handle.hash == wanted.hash);
        prop_assert!(reason != Reason::Changed || !same_bytes);
        prop_assert!(!matches!(reason, Reason::IdChanged | Reason::TypeChanged) || same_bytes);
    }

    #[test]
    fn what_is_recorded_is_renewed_with_its_own_bytes_unless_its_account_is_gone(case in case()) {
        let verdict = case.judge();
        let Some(handle) = &case.handle else {
            prop_assert!(verdict.renewal.is_none() && verdict.schedule.is_none());
            return Ok(());
        };
        prop_assert_eq!(verdict.renewal.is_none(), case.moved());
        prop_assert_eq!(verdict.schedule.is_some(), handle.url.is_some());
        let Some((at, reason, content)) = verdict.renewal else { return Ok(()) };
        prop_assert_eq!((content.hash, content.size), (handle.hash, handle.size));
        prop_assert_eq!(reason == Reason::Lapsed, handle.url.is_none());
        prop_assert!(handle.url.is_some() || at == case.now.steady, "what has died is due at once");
    }

    #[test]
    fn a_renewal_is_due_before_the_end_or_at_once(case in case()) {
        let Some(schedule) = case.judge().schedule else { return Ok(()) };
        prop_assert!(schedule.urgent_at <= schedule.lapse_at);
        if schedule.renew_at > case.now.steady {
            prop_assert!(schedule.renew_at + case.terms.margin <= schedule.lapse_at);
            prop_assert!(schedule.renew_at <= schedule.urgent_at);
        }
        let earliest = schedule.lapse_at - case.terms.margin - case.terms.life / 10;
        let agree = case.now.wall == case.now.steady && !case.is_from_the_future();
        let handle = case.handle.as_ref().unwrap();
        if agree && handle.expires_at == handle.steady_expires_at {
            prop_assert!(schedule.renew_at >= earliest, "not before its time");
        }
    }

    #[test]
    fn what_is_due_stays_due(case in case(), later in 0..YEAR_MS) {
        let later = case.after(Duration::from_millis(later.unsigned_abs()));
        let (now, then) = (case.judge(), later.judge());
        prop_assert_eq!(&now.replacement, &then.replacement, "time alone changes no content");
        prop_assert_eq!(&now.block, &then.block);
        let due = |case: &Case, verdict: &Verdict| {
            verdict.renewal.as_ref().is_some_and(|(at, ..)| *at <= case.now.steady)
        };
        // A beginning in the future is mended by renewing it; once it lies in the past it is one like any other.
        if due(&case, &now) && !case.is_from_the_future() {
            prop_assert!(due(&later, &then));
        }
    }

    #[test]
    fn once_done_there_is_nothing_left_to_do(case in case()) {
        let verdict = case.judge();
        let done = match (&verdict.replacement, &verdict.renewal) {
            (Some((_, wanted)), _) | (None, Some((_, _, wanted))) => case.with_sent(wanted),
            (None, None) => return Ok(()),
        };
        let again = done.judge();
        prop_assert_eq!(&again.block, &verdict.block);
        prop_assert_eq!(&again.replacement, &None);
        let (at, reason, _) = again.renewal.expect("what was sent is renewed one day");
        prop_assert_eq!(reason, Reason::Due);
        prop_assert!(at > done.now.steady, "renewed again at once");
        let schedule = again.schedule.expect("what was sent is alive");
        prop_assert!(schedule.lapse_at > done.now.steady && schedule.urgent_at > done.now.steady);
    }

    #[test]
    fn a_renewal_leaves_what_waits_as_it_is(case in case()) {
        let verdict = case.judge();
        let Some((_, _, recorded)) = &verdict.renewal else { return Ok(()) };
        let renewed = case.with_sent(recorded).judge();
        let different = |verdict: &Verdict| verdict.replacement.clone().map(|(_, wanted)| wanted);
        prop_assert_eq!(different(&renewed), different(&verdict));
        prop_assert_eq!(renewed.block, verdict.block);
    }

    #[test]
    fn a_verdict_depends_on_nothing_else(case in case()) {
        prop_assert_eq!(case.judge(), case.judge());
        // The moments move with the clocks: the same day a year later has the same verdict, a year later.
        let shift = Duration::from_secs(366 * 86_400);
        let mut shifted = case.after(shift);
        if let Some(handle) = &mut shifted.handle {
            for moment in [&mut handle.expires_at, &mut handle.steady_expires_at] {
                *moment = *moment + shift;
            }
        }
        if !case.is_from_the_future() {
            let due = |verdict: Verdict| verdict.schedule.map(|schedule| schedule.lapse_at);
            prop_assert_eq!(due(case.judge()).map(|at| at + shift), due(shifted.judge()));
        }
    }
}
