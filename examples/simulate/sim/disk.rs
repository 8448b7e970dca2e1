//! A disk with one folder on it that tells what was written from what is durable, and that a run can end at any point
//! of. A kill leaves everything that was written; a power cut leaves what was made durable, and of the rest whatever
//! the disk pleases: some of the names, a part of the bytes, zeros in place of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fastrand::Rng;
use mediakeep::domain::state::State;
use mediakeep::domain::state_format::{Shared, decode, encode};

use super::control::Control;
use super::script::Crash;

/// Why an operation was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The process is dead: nothing after this point happened.
    Crash,
    /// The disk refused.
    Refused,
}

/// What a file holds.
#[derive(Clone, Debug)]
enum Content {
    Bytes(Vec<u8>),
    /// A snapshot, turned into bytes only where somebody reads it as such: a year has a hundred thousand of them.
    Snapshot(Arc<State>),
}

#[derive(Clone, Debug)]
struct File {
    content: Content,
    /// How many of its bytes are durable; of a snapshot all or none.
    durable: usize,
}

/// A change of names, each whole in itself.
#[derive(Clone, Debug)]
enum Naming {
    Name { name: String, file: u32 },
    Rename { from: String, to: String, file: u32 },
    Remove { name: String },
}

#[derive(Debug)]
pub(crate) struct Disk {
    files: BTreeMap<u32, File>,
    names: BTreeMap<String, u32>,
    /// The names that a power cut leaves for sure.
    durable_names: BTreeMap<String, u32>,
    /// What has been done to names since, in order.
    unsynced: Vec<Naming>,
    next_file: u32,
    /// How many points the process has come past.
    pub(crate) points: u64,
    /// Those of them that are more than the tick of an idle engine, if anybody wants to know.
    pub(crate) busy_points: Option<Vec<u64>>,
    /// At which of them it dies.
    pub(crate) crash_at: Option<u64>,
    pub(crate) full: bool,
    pub(crate) next_sync_fails: bool,
    control: Control,
}

type Done = Result<(), Stop>;

impl Disk {
    pub(crate) fn new(control: Control) -> Self {
        Self {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced: Vec::new(),
            next_file: 0,
            points: 0,
            busy_points: None,
            crash_at: None,
            full: false,
            next_sync_fails: false,
            control,
        }
    }

    /// The process comes past a point at which it may die, and that is worth a crash of its own.
    pub(crate) fn point(&mut self) -> Done {
        if let Some(points) = &mut self.busy_points {
            points.push(self.points + 1);
        }
        self.tick()
    }

    /// The same where nothing has happened.
    pub(crate) fn tick(&mut self) -> Done {
        self.points += 1;
        if self.crash_at.is_some_and(|at| at <= self.points) {
            self.crash_at = None;
            return Err(Stop::Crash);
        }
        Ok(())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    fn file(&self, name: &str) -> Option<&File> {
        self.files.get(self.names.get(name)?)
    }

    fn file_mut(&mut self, name: &str) -> Option<&mut File> {
        self.files.get_mut(self.names.get(name)?)
    }

    /// The snapshot under a name, as its readers see it. `None` where there is none, or none that is whole.
    pub(crate) fn snapshot(&self, name: &str) -> Option<Arc<State>> {
        match &self.file(name)?.content {
            Content::Snapshot(state) => Some(state.clone()),
            Content::Bytes(bytes) => {
                let decoded = decode(bytes, &mut Shared::default());
                decoded.ok().map(|decoded| Arc::new(decoded.state))
            }
        }
    }

    fn make(&mut self, name: &str, content: Content) {
        self.next_file += 1;
        let file = self.next_file;
        self.files.insert(file, File { content, durable: 0 });
        self.names.insert(name.to_owned(), file);
        self.unsynced.push(Naming::Name { name: name.to_owned(), file });
    }

    fn refuse_if_full(&self) -> Done {
        if self.full { Err(Stop::Refused) } else { Ok(()) }
    }

    /// Makes an empty file, in place of whatever had its name.
    pub(crate) fn create(&mut self, name: &str) -> Done {
        self.refuse_if_full()?;
        self.make(name, Content::Bytes(Vec::new()));
        self.point()
    }

    /// Writes a snapshot into a new file. Until that is over there is a torn one.
    pub(crate) fn write_snapshot(&mut self, name: &str, state: Arc<State>) -> Done {
        self.refuse_if_full()?;
        let in_place = self.has(name);
        self.make(name, Content::Bytes(b"{\n  \"format\": 1,\n".to_vec()));
        if in_place && let Some(file) = self.names.get(name) {
            // The name was there before, and leads to this torn content, whatever happens.
            self.durable_names.insert(name.to_owned(), *file);
        }
        self.point()?;
        if let Some(file) = self.file_mut(name) {
            file.content = Content::Snapshot(state);
        }
        self.point()
    }

    /// Appends to a file, which takes two writes.
    pub(crate) fn append(&mut self, name: &str, text: &[u8]) -> Done {
        let refused = self.refuse_if_full();
        let (first, second) = text.split_at(text.len() / 2);
        for part in [first, second] {
            if let Some(File { content: Content::Bytes(bytes), .. }) = self.file_mut(name) {
                bytes.extend_from_slice(part);
            }
            refused?;
            self.point()?;
        }
        Ok(())
    }

    pub(crate) fn cut(&mut self, name: &str, length: usize) {
        if let Some(File { content: Content::Bytes(bytes), durable }) = self.file_mut(name) {
            bytes.truncate(length);
            *durable = (*durable).min(length);
        }
    }

    pub(crate) fn sync(&mut self, name: &str) -> Done {
        if std::mem::take(&mut self.next_sync_fails) {
            return Err(Stop::Refused);
        }
        if self.control != Control::IgnoreSync
            && let Some(file) = self.file_mut(name)
        {
            file.durable = file.content.length();
        }
        self.point()
    }

    pub(crate) fn sync_names(&mut self) -> Done {
        if std::mem::take(&mut self.next_sync_fails) {
            return Err(Stop::Refused);
        }
        if self.control != Control::IgnoreSync {
            self.durable_names.clone_from(&self.names);
            self.unsynced.clear();
            let used: BTreeSet<u32> = self.names.values().copied().collect();
            self.files.retain(|number, _| used.contains(number));
        }
        self.point()
    }

    pub(crate) fn link(&mut self, from: &str, to: &str) -> Done {
        if let Some(file) = self.names.get(from).copied() {
            self.names.insert(to.to_owned(), file);
            self.unsynced.push(Naming::Name { name: to.to_owned(), file });
        }
        self.point()
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Done {
        if let Some(file) = self.names.remove(from) {
            self.names.insert(to.to_owned(), file);
            self.unsynced.push(Naming::Rename { from: from.to_owned(), to: to.to_owned(), file });
        }
        self.point()
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if self.names.remove(name).is_some() {
            self.unsynced.push(Naming::Remove { name: name.to_owned() });
        }
    }

    /// What a crash leaves, as the next process finds it.
    pub(crate) fn crash(&mut self, crash: Crash) {
        if let Crash::PowerCut { choice } = crash {
            self.cut_power(choice);
        }
    }

    fn cut_power(&mut self, choice: u64) {
        let mut rng = Rng::with_seed(choice);
        let mut names = std::mem::take(&mut self.durable_names);
        for naming in std::mem::take(&mut self.unsynced) {
            let survives = match choice {
                0 => false,
                1 => true,
                _ => rng.bool(),
            };
            if survives {
                naming.apply(&mut names);
            }
        }
        let used: BTreeSet<u32> = names.values().copied().collect();
        self.files.retain(|number, _| used.contains(number));
        for file in self.files.values_mut() {
            file.tear(choice, &mut rng);
        }
        self.names.clone_from(&names);
        self.durable_names = names;
    }

    /// Every file with its bytes.
    pub(crate) fn read_all(&self) -> Vec<(String, Vec<u8>)> {
        let bytes = |(name, file): (&String, &u32)| {
            let bytes = match &self.files.get(file)?.content {
                Content::Bytes(bytes) => bytes.clone(),
                Content::Snapshot(state) => encode(state),
            };
            Some((name.clone(), bytes))
        };
        self.names.iter().filter_map(bytes).collect()
    }
}

impl Content {
    fn length(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Snapshot(_) => 1,
        }
    }
}

impl File {
    /// Keeps what is durable and, of the rest, what the disk pleases.
    fn tear(&mut self, choice: u64, rng: &mut Rng) {
        if let Content::Snapshot(state) = &self.content {
            if self.durable == 1 || choice == 1 {
                self.durable = 1;
                return;
            }
            self.content = Content::Bytes(encode(state));
        }
        let Content::Bytes(bytes) = &mut self.content else { return };
        let rest = bytes.len() - self.durable.min(bytes.len());
        match choice {
            0 => bytes.truncate(self.durable),
            1 => {}
            _ => {
                let kept = self.durable + rng.usize(0..=rest);
                let zeros = if rng.bool() { bytes.len() - kept } else { 0 };
                bytes.truncate(kept);
                bytes.resize(kept + zeros, 0);
            }
        }
        self.durable = bytes.len();
    }
}

impl Naming {
    fn apply(self, names: &mut BTreeMap<String, u32>) {
        match self {
            Self::Name { name, file } => drop(names.insert(name, file)),
            Self::Rename { from, to, file } => {
                names.remove(&from);
                names.insert(to, file);
            }
            Self::Remove { name } => drop(names.remove(&name)),
        }
    }
}
