//! The end of the loop: what providers confirmed counts, what is known is saved, and people are told.

use super::{Daemon, Message};
use crate::domain::reconciler::{Effect, Input, LastWords, Mode, Summary};

impl Daemon {
    pub(super) async fn finish(mut self) -> Summary {
        if self.uploaded && matches!(self.mode, Mode::Once { .. }) {
            self.sweep();
        }
        self.uploader.abandon().await;
        self.take_what_came_late();
        let LastWords { changes, state, events } = self.engine.last_words();
        if !changes.is_empty() {
            self.saver.record(changes);
        }
        if let Some(state) = state {
            self.saver.publish(Box::new(state));
        }
        self.saver.note_again();
        self.saver.note(&self.engine, self.clock.now().wall);
        self.saver.close().await;
        self.folder.close();
        let unsaved = self.hear_the_saver_out();
        self.tell(&events);
        let mut summary = self.engine.summary();
        summary.unwritable |= unsaved;
        // The process is about to end: taking a hundred thousand records apart first would be in vain.
        std::mem::forget(self.engine);
        summary
    }

    /// What providers confirmed in the last moments counts like everything before.
    fn take_what_came_late(&mut self) {
        let mut inputs = vec![Input::Stop];
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message, &mut inputs);
        }
        let step = self.engine.step(self.clock.now(), inputs);
        self.tell(&step.events);
        for effect in step.effects {
            if let Effect::Record(_) | Effect::Publish(_) = effect {
                self.perform(effect);
            }
        }
    }

    /// Whether the last thing that was to be saved was not.
    fn hear_the_saver_out(&mut self) -> bool {
        let mut unsaved = false;
        while let Ok(message) = self.inbox.try_recv() {
            match message {
                Message::Warnings(texts) => self.warn(&texts),
                Message::Input(Input::Published { result, .. } | Input::Recorded(result)) => {
                    unsaved = result.is_err();
                    if let Err(why) = result {
                        self.observer.warning(&format!("cannot save the state at the end: {why}"));
                    }
                }
                _ => {}
            }
        }
        unsaved
    }
}
