//! What a script says, done to the world.

use mediakeep::domain::asset::RelPath;
use mediakeep::domain::observation::Hint;
use mediakeep::domain::reconciler::Input;

use super::judge::Rule;
use super::script::{Edit, What};
use super::world::{Post, World};

impl World<'_> {
    pub(super) fn begin(&mut self, number: usize) {
        let what = self.script.scenes[number].what.clone();
        self.note(format_args!("scene {what:?}"));
        self.bound.begin(number, &what);
        let minutes = match what {
            What::Edit { file, edit } => return self.edit(file as usize % self.folder.len(), edit),
            What::EarlySweep { provider, percent } => return self.sweep_early(provider, percent),
            What::Crash { crash, points, down_s } => {
                if self.process.is_some() {
                    self.armed = Some((crash, down_s));
                    self.disk.crash_at = Some(self.disk.points + 1 + u64::from(points));
                }
                return;
            }
            What::Restart { down_s } => return self.stop(down_s),
            What::SyncFails => {
                self.disk.next_sync_fails = true;
                return;
            }
            What::Suspend { minutes } => {
                return self.fall_asleep(i64::from(minutes) * 60_000);
            }
            What::Manifest { variant, minutes } => {
                self.variants.insert(number, variant);
                self.change_manifest();
                minutes
            }
            What::Folder { trouble, minutes } => {
                self.folder.begin(number, trouble);
                self.touch_everything();
                minutes
            }
            What::Provider { provider, trouble, minutes } => {
                self.providers[usize::from(provider)].begin(number, trouble);
                minutes
            }
            What::Clock { jump_s, minutes } => {
                self.clock_errors.insert(number, jump_s * 1000);
                minutes
            }
            What::DiskFull { minutes } => {
                self.full_disks += 1;
                self.disk.full = true;
                minutes
            }
        };
        self.post(i64::from(minutes) * 60_000, Post::SceneEnds(number));
    }

    pub(super) fn end(&mut self, number: usize) {
        let what = self.script.scenes[number].what.clone();
        self.note(format_args!("over {what:?}"));
        match what {
            What::Manifest { .. } => {
                self.variants.remove(&number);
                self.change_manifest();
            }
            What::Folder { .. } => {
                self.folder.end(number);
                self.touch_everything();
                self.answer_hung_looks();
            }
            What::Provider { provider, .. } => self.providers[usize::from(provider)].end(number),
            What::Clock { .. } => {
                self.clock_errors.remove(&number);
                self.clock_wrong_at_ms = Some(self.now_ms);
            }
            What::DiskFull { .. } => {
                self.full_disks -= 1;
                self.disk.full = self.full_disks > 0;
            }
            _ => {}
        }
        let objection = self.bound.end(number, &what);
        if let Some(detail) = objection {
            self.judge.object(self.now_ms, Rule::FewRequests, detail);
        }
    }

    fn edit(&mut self, file: usize, edit: Edit) {
        self.judge.totals.edits += 1;
        let now_ms = self.now_ms;
        match edit {
            Edit::Write | Edit::Unnoticed => self.folder.write(file, now_ms, false),
            Edit::RenameOver => self.folder.write(file, now_ms, true),
            Edit::Revert => self.folder.revert(file, now_ms),
            Edit::Spoil => self.folder.spoil(file, now_ms),
            Edit::Recreate { gap_s } => {
                self.folder.remove(file);
                self.post(i64::from(gap_s) * 1000, Post::FileReturns(file, edit));
            }
            Edit::Delete { minutes } => {
                self.folder.remove(file);
                self.post(i64::from(minutes) * 60_000, Post::FileReturns(file, edit));
            }
        }
        if edit != Edit::Unnoticed {
            let hint = if edit == Edit::RenameOver { Hint::Complete } else { Hint::Touched };
            self.touch(file, hint);
        }
    }

    pub(super) fn bring_back(&mut self, file: usize, edit: Edit) {
        match edit {
            Edit::Recreate { .. } => self.folder.write(file, self.now_ms, true),
            _ => self.folder.restore(file, self.now_ms),
        }
        self.touch(file, Hint::Complete);
    }

    fn touch(&mut self, file: usize, hint: Hint) {
        let path: RelPath = self.folder.path(file);
        let after_ms = self.rng.i64(5..150);
        self.give(after_ms, Input::Touched { paths: vec![(path, hint)], everything: false });
    }

    fn touch_everything(&mut self) {
        let after_ms = self.rng.i64(5..2000);
        self.give(after_ms, Input::Touched { paths: Vec::new(), everything: true });
    }

    fn change_manifest(&mut self) {
        self.unlisted_until_ms = Some(self.now_ms);
        let manifest = self.manifest();
        self.give(500, Input::Manifest(manifest));
        self.connect_all();
    }

    fn sweep_early(&mut self, provider: u8, percent: u8) {
        let number = usize::from(provider);
        for url in self.providers[number].lose(percent, &mut self.rng) {
            self.tell_url_changed(&url);
        }
    }
}
