//! Looks at what an account holds of ours, beside the loop. What is asked, and what follows from the answers, is
//! decided elsewhere; here the questions are put, at the account's rate, until the first failure.

use std::collections::HashSet;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::domain::failure::Failure;
use crate::domain::verification::{Ask, Inspected, Inspection, Search, Sight};
use crate::provider::{Cursor, Provider};

/// Performs a look. `permit` waits until the account may be sent another request; `ended` is heard when nothing more
/// is to be asked, between two requests.
pub(super) async fn inspect(
    inspection: Inspection,
    provider: &dyn Provider,
    permit: impl Fn() -> BoxFuture<'static, ()> + Sync,
    mut ended: oneshot::Receiver<()>,
) -> Inspected {
    let mut search = Search::new(&inspection.expected, &provider.kind().capabilities);
    let end = ask(&mut search, provider, permit, &mut ended).await;
    let broken_off = matches!(end, Ok(End::BrokenOff));
    let failure = end.err();
    let sights = search.finish(failure.is_none() && !broken_off);
    Inspected { inspection, sights, failure, broken_off }
}

/// How a look ended that nothing went wrong with.
enum End {
    Complete,
    BrokenOff,
}

/// A look that could not be made.
pub(super) fn not_made(inspection: Inspection, failure: Failure) -> Inspected {
    let sights = vec![Sight::Unknown; inspection.expected.len()];
    Inspected { inspection, sights, failure: Some(failure), broken_off: false }
}

async fn ask(
    search: &mut Search,
    provider: &dyn Provider,
    permit: impl Fn() -> BoxFuture<'static, ()> + Sync,
    ended: &mut oneshot::Receiver<()>,
) -> Result<End, Failure> {
    let mut cursor: Option<Cursor> = None;
    let mut turned = HashSet::new();
    loop {
        let ask = search.next_ask();
        if ask != Ask::Nothing {
            tokio::select! {
                biased;
                _ = &mut *ended => return Ok(End::BrokenOff),
                () = permit() => {}
            }
        }
        match ask {
            Ask::Nothing => return Ok(End::Complete),
            Ask::Page => {
                let page = provider.list(cursor.take()).await?;
                for found in &page.media {
                    search.saw(&found.id, found.size);
                }
                match page.next {
                    None => search.list_ended(true),
                    // A list that comes back to where it was has no end, and says nothing about what it did not name.
                    Some(next) if !turned.insert(next.0.clone()) => search.list_ended(false),
                    Some(next) => cursor = Some(next),
                }
            }
            Ask::Media(id) => match provider.find(&id).await? {
                Some(found) => search.saw(&id, found.size),
                None => search.missed(&id),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::domain::asset::{MediaId, Scope};
    use crate::domain::failure::FailureClass;
    use crate::domain::kind::Kind;
    use crate::domain::testing::key;
    use crate::domain::time::{Now, Timestamp};
    use crate::domain::verification::Expected;
    use crate::provider::{Found, Page, Receipt, Upload, bandwidth};

    /// What a list does after its last media.
    #[derive(Clone, Copy, PartialEq)]
    enum Tail {
        Ends,
        NeverEnds,
        GoesInCircles,
        Fails,
    }

    /// Lists a thousand media of others a page, and two of ours on the page of that number.
    struct Crowded {
        scope: Scope,
        ours_on: usize,
        tail: Tail,
        held: Vec<&'static str>,
        /// The media about which there is no answer.
        silent_about: Option<&'static str>,
        asked: Mutex<(usize, usize)>,
    }

    impl Crowded {
        fn new(ours_on: usize, tail: Tail, held: &[&'static str]) -> Self {
            Self {
                scope: Scope::new("1").unwrap(),
                ours_on,
                tail,
                held: held.to_vec(),
                silent_about: None,
                asked: Mutex::default(),
            }
        }
    }

    fn found(id: &str) -> Found {
        Found { id: MediaId::new(id).unwrap(), size: Some(3), url: None }
    }

    fn down() -> Failure {
        Failure::without_answer(FailureClass::Unavailable, "down")
    }

    impl Provider for Crowded {
        fn kind(&self) -> &'static Kind {
            &bandwidth::KIND
        }

        fn scope(&self) -> &Scope {
            &self.scope
        }

        fn upload(&self, _upload: Upload) -> BoxFuture<'_, Result<Receipt, Failure>> {
            unreachable!("a look uploads nothing")
        }

        fn list(&self, cursor: Option<Cursor>) -> BoxFuture<'_, Result<Page, Failure>> {
            let number: usize = cursor.map_or(0, |cursor| cursor.0.parse().unwrap());
            let page = {
                self.asked.lock().unwrap().0 += 1;
                let mut media: Vec<Found> = (0..1000).map(|n| found(&format!("other{number}-{n}"))).collect();
                if number == self.ours_on {
                    media.extend(["a", "b"].map(found));
                }
                let next = match self.tail {
                    Tail::Ends if number >= 2 => None,
                    Tail::GoesInCircles if number >= 2 => Some(1),
                    _ => Some(number + 1),
                };
                Page { media, next: next.map(|number: usize| Cursor(number.to_string())) }
            };
            let fails = self.tail == Tail::Fails && number >= 1;
            Box::pin(async move { if fails { Err(down()) } else { Ok(page) } })
        }

        fn find(&self, id: &MediaId) -> BoxFuture<'_, Result<Option<Found>, Failure>> {
            self.asked.lock().unwrap().1 += 1;
            let there = self.held.iter().find(|held| **held == id.as_str()).map(|id| found(id));
            let fails = self.silent_about == Some(id.as_str());
            Box::pin(async move { if fails { Err(down()) } else { Ok(there) } })
        }
    }

    fn inspection() -> Inspection {
        let media = |id: &str| Expected {
            key: key(id, "b"),
            id: MediaId::new(id).unwrap(),
            size: 3,
            uploaded_at: Timestamp::from_unix_ms(0),
        };
        Inspection {
            provider: key("a", "b").provider,
            scope: Scope::new("1").unwrap(),
            ordered: Now::at(Timestamp::from_unix_ms(0)),
            expected: ["a", "b"].map(media).into(),
        }
    }

    #[tokio::test]
    async fn a_look_is_bounded_and_concludes_nothing_from_what_it_did_not_read() {
        use Sight::{Gone, Present, Unknown};
        for (what, ours_on, tail, held, asked, sights) in [
            ("ours are on the second page", 1, Tail::NeverEnds, vec![], (2, 0), [Present, Present]),
            ("a list without ours", 99, Tail::Ends, vec!["a"], (3, 2), [Present, Gone]),
            ("a list without an end", 99, Tail::NeverEnds, vec!["a", "b"], (10, 2), [Present, Present]),
            ("a list that goes in circles", 99, Tail::GoesInCircles, vec!["b"], (3, 2), [Gone, Present]),
            ("a page that fails", 99, Tail::Fails, vec![], (2, 0), [Unknown, Unknown]),
        ] {
            let provider = Crowded::new(ours_on, tail, &held);
            let permits = AtomicUsize::new(0);
            let permit = || {
                permits.fetch_add(1, Ordering::SeqCst);
                Box::pin(std::future::ready(())) as BoxFuture<'static, ()>
            };
            let (_end, ended) = oneshot::channel();
            let inspected = inspect(inspection(), &provider, permit, ended).await;
            assert_eq!(inspected.sights, sights, "{what}");
            assert_eq!(*provider.asked.lock().unwrap(), asked, "{what}");
            assert_eq!(
                permits.load(Ordering::SeqCst),
                asked.0 + asked.1,
                "{what}: each request waits for its turn"
            );
            assert_eq!(inspected.failure.is_some(), tail == Tail::Fails, "{what}");
        }
    }

    #[tokio::test]
    async fn no_answer_about_a_media_is_told_and_does_not_mean_that_it_is_gone() {
        use Sight::{Gone, Unknown};
        for (silent_about, asked, sights) in
            [("a", (3, 1), [Unknown, Unknown]), ("b", (3, 2), [Gone, Unknown])]
        {
            let provider = Crowded { silent_about: Some(silent_about), ..Crowded::new(99, Tail::Ends, &[]) };
            let permit = || Box::pin(std::future::ready(())) as BoxFuture<'static, ()>;
            let (_end, ended) = oneshot::channel();
            let inspected = inspect(inspection(), &provider, permit, ended).await;
            assert_eq!(inspected.sights, sights, "{silent_about}");
            assert_eq!(*provider.asked.lock().unwrap(), asked, "{silent_about}");
            let told = inspected.failure.map(|failure| failure.class);
            assert_eq!(told, Some(FailureClass::Unavailable), "{silent_about}");
        }
    }

    #[tokio::test]
    async fn a_look_that_is_told_to_end_asks_nothing_more_and_tells_what_it_found() {
        let provider = Crowded::new(0, Tail::NeverEnds, &[]);
        let (end, ended) = oneshot::channel();
        let end = Mutex::new(Some(end));
        let permits = AtomicUsize::new(0);
        // It is told so while it waits for its second request.
        let permit = || match permits.fetch_add(1, Ordering::SeqCst) {
            0 => Box::pin(std::future::ready(())) as BoxFuture<'static, ()>,
            _ => {
                let _ = end.lock().unwrap().take().map(|end| end.send(()));
                Box::pin(std::future::pending())
            }
        };
        let mut inspection = inspection();
        let missing = Expected { id: MediaId::new("missing").unwrap(), ..inspection.expected[0].clone() };
        inspection.expected = inspection.expected.iter().cloned().chain([missing]).collect();
        let inspected = inspect(inspection, &provider, permit, ended).await;
        assert_eq!(inspected.sights, [Sight::Present, Sight::Present, Sight::Unknown]);
        assert_eq!(*provider.asked.lock().unwrap(), (1, 0));
        assert!(inspected.broken_off && inspected.failure.is_none());
    }
}
