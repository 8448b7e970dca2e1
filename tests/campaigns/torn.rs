//! Files are overwritten, truncated, grown, replaced and checked out by git while the daemon uploads them: each body that
//! went out is one complete version, and its hash is the one that is recorded.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mediakeep::domain::asset::ContentHash;
use tokio::time::Instant;

use crate::scale::{Dice, scale, tell};
use crate::stage::{LIFE, Stage, files, pause, rename};

/// Files of each writer.
const FILES: usize = 10;
/// Half of the quiet time after which a closed file is read. A version that took longer to write may be seen in parts:
/// nobody can tell a writer that stalls from one that is done.
const STALL: Duration = Duration::from_millis(100);

/// A version of a file: one line, again and again, and how often.
fn version(file: &str, number: usize) -> Vec<u8> {
    let lines = 900 + (number * 7919) % 600;
    let line = format!("{file} {number:06}\n");
    format!("{}end {lines}\n", line.repeat(lines)).into_bytes()
}

/// Whether these bytes are one version from its first to its last byte.
///
/// # Errors
/// The versions that are mixed in it.
fn complete(bytes: &[u8]) -> Result<(), BTreeSet<String>> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<&str> = text.lines().collect();
    let last = lines.pop().unwrap_or_default();
    let versions: BTreeSet<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let whole = versions.len() == 1 && last == format!("end {}", lines.len()) && text.ends_with('\n');
    if whole { Ok(()) } else { Err(versions) }
}

/// How a writer brings a new version into a file.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// From the first byte on, over the old ones.
    Overwrites,
    /// Empties the file first.
    Truncates,
    /// Cuts it in half, and lets it grow piece by piece, each time anew.
    Grows,
    /// Writes beside it and renames.
    Renames,
}

impl Habit {
    const ALL: [Self; 4] = [Self::Overwrites, Self::Truncates, Self::Grows, Self::Renames];

    fn write(self, path: &Path, bytes: &[u8]) {
        let pieces = || bytes.chunks(bytes.len() / 4 + 1);
        match self {
            Self::Overwrites => {
                let mut file = File::options().create(true).write(true).truncate(false).open(path).unwrap();
                pieces().for_each(|piece| file.write_all(piece).unwrap());
                file.set_len(bytes.len() as u64).unwrap();
            }
            Self::Truncates => {
                let mut file = File::create(path).unwrap();
                pieces().for_each(|piece| file.write_all(piece).unwrap());
            }
            Self::Grows => {
                let file = File::options().create(true).write(true).truncate(false).open(path).unwrap();
                file.set_len(0).unwrap();
                for piece in pieces() {
                    File::options().append(true).open(path).unwrap().write_all(piece).unwrap();
                }
            }
            Self::Renames => {
                let beside = path.with_extension("part");
                let mut file = File::create(&beside).unwrap();
                pieces().for_each(|piece| file.write_all(piece).unwrap());
                drop(file);
                rename(&beside, path);
            }
        }
    }
}

/// What the writers have in common.
struct Desk {
    media: PathBuf,
    over: AtomicBool,
    written: AtomicUsize,
    /// First lines of versions that took so long to write that they may be seen in parts.
    stalled: Mutex<BTreeSet<String>>,
}

impl Desk {
    fn go_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    /// Rewrites its files until it is over.
    fn work(&self, habit: Habit, mut dice: Dice) {
        let mut number = 0;
        while self.go_on() {
            for file in 0..FILES {
                number += 1;
                let name = format!("{habit:?}-{file}");
                let begin = Instant::now();
                habit.write(
                    &self.media.join("photos").join(&name).with_extension("jpg"),
                    &version(&name, number),
                );
                if begin.elapsed() > STALL {
                    self.stalled.lock().unwrap().insert(format!("{name} {number:06}"));
                }
                self.written.fetch_add(1, Ordering::Relaxed);
            }
            pause(dice.millis_below(700));
        }
    }

    /// Checks out one commit after the other, whose files have a version each.
    fn check_out(&self, commits: usize, mut dice: Dice) {
        while self.go_on() {
            git(&self.media, &["checkout", "-q", "-f", &format!("v{}", dice.below(commits as u64))]);
            self.written.fetch_add(FILES, Ordering::Relaxed);
            pause(Duration::from_millis(300) + dice.millis_below(600));
        }
    }
}

fn git(folder: &Path, words: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "gc.auto=0"])
        .args(words)
        .current_dir(folder);
    let output = git.output().unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A repository with this many commits of the same files, each with its tag.
fn commits(media: &Path, count: usize) {
    git(media, &["init", "-q"]);
    for number in 0..count {
        for file in 0..FILES {
            let name = format!("git-{file}");
            Habit::Renames
                .write(&media.join("photos").join(&name).with_extension("jpg"), &version(&name, number));
        }
        git(media, &["add", "photos"]);
        git(media, &["commit", "-q", "-m", "version"]);
        git(media, &["tag", &format!("v{number}")]);
    }
}

#[test]
fn each_body_is_one_complete_version_whatever_is_done_to_its_file() {
    let (uploads, mut dice) = (scale(500, 10_000), Dice::new());
    let stage = Stage::with_life(LIFE * 360);
    let accounts =
        stage.accounts().replace("[provider.plivo]", "rate = \"1000/s\"\nconcurrency = 8\n[provider.plivo]");
    stage.put("media.toml", &(accounts + &files("photos/*.jpg", "bandwidth")));
    fs::create_dir(stage.media("photos")).unwrap();
    commits(&stage.media(""), scale(8, 40));
    let desk = Desk {
        media: stage.media(""),
        over: AtomicBool::new(false),
        written: AtomicUsize::new(0),
        stalled: Mutex::default(),
    };
    let mut daemon = stage.run();
    let mut judge = Judge::default();
    std::thread::scope(|scope| {
        for habit in Habit::ALL {
            let dice = dice.another();
            let desk = &desk;
            scope.spawn(move || desk.work(habit, dice));
        }
        let dice = dice.another();
        scope.spawn(|| desk.check_out(scale(8, 40), dice));
        // Threads in a scope are waited for, so that they must end whatever happens here.
        let end = Instant::now() + Duration::from_secs(900);
        while judge.bodies < uploads && Instant::now() < end {
            pause(Duration::from_millis(500));
            judge.look(&stage);
        }
        desk.over.store(true, Ordering::Relaxed);
    });
    daemon.stop();
    judge.look(&stage);
    let stalled = desk.stalled.lock().unwrap().clone();
    let Judge { bodies, torn, mislabelled } = judge;
    assert!(bodies >= uploads, "{bodies} uploads only\n{}", stage.log());
    let torn: Vec<_> = torn.iter().filter(|versions| versions.is_disjoint(&stalled)).collect();
    assert!(
        torn.is_empty(),
        "{} of {bodies} bodies are no complete version: {:?}",
        torn.len(),
        &torn[..torn.len().min(5)]
    );
    assert_eq!(mislabelled, Vec::<String>::new(), "other bytes than were hashed");
    let written = desk.written.load(Ordering::Relaxed);
    assert!(stalled.len() * 10 < written, "{} of {written} versions took too long to write", stalled.len());
    tell(&format!(
        "{bodies} uploads of {written} versions, 0 torn, {} writers stalled; seed {}",
        stalled.len(),
        dice.seed
    ));
}

/// Looks at every body that a provider stored.
#[derive(Default)]
struct Judge {
    bodies: usize,
    torn: Vec<BTreeSet<String>>,
    mislabelled: Vec<String>,
}

impl Judge {
    /// Looks at the new ones, and lets the provider lose them: thousands would take much memory.
    fn look(&mut self, stage: &Stage) {
        let control = stage.control();
        for media in control.media().into_iter().filter(|media| media.alive) {
            let Some(sent) = control.send(&media.url) else { continue };
            self.bodies += 1;
            if let Err(versions) = complete(&sent.bytes) {
                self.torn.push(versions);
            }
            // The ID holds the beginning of the hash that is recorded.
            let hash = ContentHash::of(&sent.bytes).to_string();
            if !media.id.contains(&hash[..8]) {
                self.mislabelled.push(format!("{} holds {hash}", media.id));
            }
            control.lose(media.provider, &media.account, &media.id);
        }
    }
}

/// The control: a body that is read while it is sent, as an upload that streams would, and a hash taken before.
#[test]
fn a_body_that_is_streamed_from_its_file_is_found_out() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("streamed.jpg");
    for habit in [Habit::Overwrites, Habit::Truncates, Habit::Grows] {
        habit.write(&path, &version("streamed", 1));
        let before = ContentHash::of(&fs::read(&path).unwrap());
        assert_eq!(complete(&fs::read(&path).unwrap()), Ok(()));
        let mut file = File::open(&path).unwrap();
        let mut body = vec![0; 5000];
        file.read_exact(&mut body).unwrap();
        habit.write(&path, &version("streamed", 2));
        file.seek(SeekFrom::Start(5000)).unwrap();
        file.read_to_end(&mut body).unwrap();
        assert!(complete(&body).is_err(), "{habit:?}");
        assert_ne!(ContentHash::of(&body), before, "{habit:?}");
    }
}
