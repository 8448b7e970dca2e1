//! What the providers of the small world do with what is sent to them.

use super::{HOUR, Mood, Stored, World};
use crate::domain::asset::{ContentHash, MediaId};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::reconciler::uploading::Confirmation;
use crate::domain::reconciler::{Input, Order, Outcome, Source, UploadError};

impl World {
    pub(super) fn upload(&mut self, order: Order) {
        *self.requests.entry(order.key.provider.clone()).or_default() += 1;
        let in_flight =
            1 + self.replies.iter().filter(|(_, input)| matches!(input, Input::Uploaded(_))).count();
        self.most_in_flight = self.most_in_flight.max(in_flight);
        assert!(in_flight <= 8, "more at once than two accounts of four allow");
        let bytes = order.sources.iter().find_map(|source| {
            let bytes = match source {
                Source::File => self.root.and_then(|_| self.folder.get(&order.key.path)),
                Source::KeptCopy => self.kept.get(&order.wanted.hash),
            }?;
            (ContentHash::of(bytes) == order.wanted.hash && !self.unreadable_bytes)
                .then(|| (*source, bytes.clone()))
        });
        if bytes.is_some() {
            self.sent.push(order.key.clone());
            self.sent_at.push(self.now.steady);
        }
        let (source, result) = match bytes {
            None => (None, Err(UploadError::NoSource("nothing has these bytes".to_owned()))),
            Some((source, bytes)) => (Some(source), self.store(&order, bytes)),
        };
        let outcome = Outcome { order, sent: self.now, source, result };
        self.reply(self.latency, Input::Uploaded(Box::new(outcome)));
    }

    fn store(&mut self, order: &Order, bytes: Vec<u8>) -> Result<Confirmation, UploadError> {
        let name = &order.key.provider;
        if let Some(Mood::Failing(failure)) = self.mood.get(name) {
            let server_date = Some(self.now.steady);
            return Err(UploadError::Provider(Failure { server_date, ..failure.clone() }));
        }
        if let Some(Mood::Answering(answers)) = self.mood.get_mut(name)
            && let Some(Some(failure)) = answers.pop_front()
        {
            return Err(UploadError::Provider(failure));
        }
        if self.uploads_fail {
            let failure = Failure::without_answer(FailureClass::ContentRefused, "refused for a test");
            return Err(UploadError::Provider(failure));
        }
        self.uploads += 1;
        let id =
            order.wanted.id.clone().unwrap_or_else(|| MediaId::new(&format!("n{}", self.uploads)).unwrap());
        let url = format!("https://{name}.example/{}/{id}", self.scope);
        let documented = if name.as_str() == "named" { 48 } else { 6 } * HOUR;
        let life = self.lives.get(name).copied().unwrap_or(documented);
        let mut dies_at = self.now.steady + life;
        if let Some(before) = self.stored.get(&url).filter(|before| before.dies_at > self.now.steady)
            && self.overwriting_keeps_clock
        {
            dies_at = before.dies_at;
        }
        let (hash, size) = (order.wanted.hash, bytes.len() as u64);
        self.stored.insert(url.clone(), Stored { hash, size, dies_at });
        self.kept.insert(order.wanted.hash, bytes);
        if matches!(self.mood.get(name), Some(Mood::LosingReplies)) {
            let failure = Failure::without_answer(FailureClass::Ambiguous, "no reply, for a test");
            return Err(UploadError::Provider(failure));
        }
        let expires_at = self.told_life.map(|life| self.now.wall + life);
        Ok(Confirmation {
            id,
            url,
            scope: self.scope.clone(),
            expires_at,
            server_date: Some(self.now.steady),
        })
    }

    pub(super) fn is_being_overwritten(&self, url: &str) -> bool {
        self.replies.iter().any(|(_, input)| match input {
            Input::Uploaded(outcome) => {
                outcome.result.as_ref().is_ok_and(|confirmation| confirmation.url == url)
            }
            _ => false,
        })
    }
}
