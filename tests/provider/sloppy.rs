//! The conformance suite notices providers that are not what they claim to be.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use mediakeep::domain::asset::{MediaId, Scope};
use mediakeep::domain::failure::{Failure, FailureClass};
use mediakeep::domain::kind::Kind;
use mediakeep::provider::conformance::{Disturbance, Fetched, Outcome, Subject, check};
use mediakeep::provider::{Cursor, Found, Page, Provider, Receipt, Upload};

use crate::fakes::Fake;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    ChangesBytes,
    RepeatsFailures,
    CallsEveryFailureUnavailable,
    TakesFailureForSuccess,
    ForgetsTheList,
    FindsEverything,
    KeepsWhatIsDeleted,
    ForgetsWaits,
    NamesByItself,
    SendsWhatIsTooLarge,
}

struct Sloppy {
    inner: Arc<dyn Provider>,
    fault: Fault,
}

impl Sloppy {
    async fn store(&self, mut upload: Upload) -> Result<Receipt, Failure> {
        let again = upload.clone();
        match self.fault {
            Fault::ChangesBytes => upload.body = upload.body.to_ascii_uppercase().into(),
            Fault::NamesByItself => upload.id = Some(MediaId::new("mine.txt").unwrap()),
            Fault::SendsWhatIsTooLarge if upload.body.len() > 3_500_000 => upload.body.truncate(10),
            _ => {}
        }
        let id = upload.id.clone().unwrap();
        let outcome = self.inner.upload(upload).await;
        let Err(mut failure) = outcome else { return outcome };
        match self.fault {
            Fault::RepeatsFailures => return self.inner.upload(again).await,
            Fault::CallsEveryFailureUnavailable => failure.class = FailureClass::Unavailable,
            Fault::ForgetsWaits => failure.retry_after = None,
            Fault::TakesFailureForSuccess => {
                return Ok(Receipt { id, url: String::new(), expires_at: None, server_date: None });
            }
            _ => {}
        }
        Err(failure)
    }
}

impl Provider for Sloppy {
    fn kind(&self) -> &'static Kind {
        self.inner.kind()
    }

    fn scope(&self) -> &Scope {
        self.inner.scope()
    }

    fn upload(&self, upload: Upload) -> BoxFuture<'_, Result<Receipt, Failure>> {
        Box::pin(self.store(upload))
    }

    fn list(&self, cursor: Option<Cursor>) -> BoxFuture<'_, Result<Page, Failure>> {
        if self.fault == Fault::ForgetsTheList {
            return Box::pin(std::future::ready(Ok(Page::default())));
        }
        self.inner.list(cursor)
    }

    fn find(&self, id: &MediaId) -> BoxFuture<'_, Result<Option<Found>, Failure>> {
        if self.fault == Fault::FindsEverything {
            let found = Found { id: id.clone(), size: None, url: None };
            return Box::pin(std::future::ready(Ok(Some(found))));
        }
        self.inner.find(id)
    }

    fn delete(&self, id: &MediaId) -> BoxFuture<'_, Result<(), Failure>> {
        if self.fault == Fault::KeepsWhatIsDeleted {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.inner.delete(id)
    }
}

struct SloppySubject {
    fake: Fake,
    fault: Fault,
}

impl Subject for SloppySubject {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(Sloppy { inner: self.fake.provider(), fault: self.fault })
    }

    fn fetch<'a>(&'a self, receipt: &'a Receipt) -> BoxFuture<'a, Fetched> {
        if receipt.url.is_empty() {
            return Box::pin(std::future::ready(Fetched::Nothing));
        }
        self.fake.fetch(receipt)
    }

    fn disturb(&self, disturbance: Disturbance) -> bool {
        self.fake.disturb(disturbance)
    }

    fn calm(&self) {
        self.fake.calm();
    }

    fn requests(&self) -> Option<usize> {
        self.fake.requests()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_breaks_the_claim_it_should() {
    for (fault, claim) in [
        (Fault::ChangesBytes, "uploaded bytes come back as they were"),
        (Fault::RepeatsFailures, "every kind of refusal has its class"),
        (Fault::CallsEveryFailureUnavailable, "a lost or missing answer leaves the outcome open"),
        (Fault::TakesFailureForSuccess, "a redirect is never followed"),
        (Fault::ForgetsTheList, "the list names what was uploaded"),
        (Fault::FindsEverything, "a look-up finds what is there and nothing else"),
        (Fault::KeepsWhatIsDeleted, "what was deleted is gone, and deleting it again succeeds"),
        (Fault::ForgetsWaits, "a wait that the provider asks for is passed on"),
        (Fault::NamesByItself, "who names a media is as declared"),
        (Fault::SendsWhatIsTooLarge, "content above the largest size is refused before it is sent"),
    ] {
        let subject = SloppySubject { fake: Fake::bandwidth().await, fault };
        let report = check(&subject).await;
        let outcome = &report.claims.iter().find(|(name, _)| *name == claim).unwrap().1;
        assert!(matches!(outcome, Outcome::Broken(_)) && !report.all_hold(), "{fault:?}:\n{report}");
    }
    let report = check(&SloppySubject { fake: Fake::bandwidth().await, fault: Fault::None }).await;
    report.assert_all_hold();
    assert_eq!(report.skipped(), ["wrong credentials are refused as such", "a redirect is never followed"]);
}
