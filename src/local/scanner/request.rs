//! From a request to the tasks of a scan, and to one answer per file.

use std::collections::{BTreeMap, HashSet};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::interest::{Interest, at_or_below};
use super::look::{Findings, Look, Naming};
use super::walk::{Task, run};
use crate::domain::asset::RelPath;
use crate::domain::observation::{Coverage, Hint, Observation};

/// So many single files are looked at before more threads are worth their start.
const FILES_PER_THREAD: usize = 64;

/// Looks at the whole folder, and then at the files that the manifest names and no listing showed.
pub(super) fn everything(look: &Look<'_>, interest: &Interest, threads: usize) -> (Coverage, Findings) {
    let mut all = run(look, vec![Task::Folder(String::new(), Hint::Touched)], threads);
    let literals = interest.literals();
    let tasks = not_found(look, &all, literals.iter().map(|path| (path, Hint::Touched)));
    all.extend(run_few(look, tasks, threads));
    (Coverage::Everything, merge(all))
}

/// Looks at these paths, what lies below them, and the links that lead to any of it.
pub(super) fn paths(
    look: &Look<'_>,
    interest: &Interest,
    requested: &[(RelPath, Hint)],
    threads: usize,
) -> (Coverage, Findings) {
    let wanted = with_links(look, interest, requested);
    let mut unreadable = Findings::default();
    let mut tasks = Vec::new();
    let mut literals = BTreeMap::new();
    let named = interest.literals();
    for (path, hint) in &wanted {
        match first_task(look, path, *hint) {
            Ok(task) => tasks.extend(task),
            Err(_) => unreadable.unreadable_folders.push(path.clone()),
        }
        literals.extend(at_or_below(&named, path).into_iter().map(|literal| (literal.clone(), *hint)));
    }
    let mut all = run_few(look, tasks, threads);
    all.push(unreadable);
    let tasks = not_found(look, &all, literals.iter().map(|(path, hint)| (path, *hint)));
    all.extend(run_few(look, tasks, threads));
    (Coverage::Paths(wanted.into_keys().collect()), merge(all))
}

fn with_links(
    look: &Look<'_>,
    interest: &Interest,
    requested: &[(RelPath, Hint)],
) -> BTreeMap<RelPath, Hint> {
    let mut wanted = BTreeMap::new();
    for (path, hint) in requested.iter().filter(|(path, _)| !look.exclusions.bars(path.as_str())) {
        for path in interest.links_to(path).into_iter().chain([path.clone()]) {
            wanted.entry(path).and_modify(|known: &mut Hint| *known = (*known).max(*hint)).or_insert(*hint);
        }
    }
    wanted
}

/// How to look at a path; nothing where only a link may lead to something (the literals below it are looked at).
fn first_task(look: &Look<'_>, path: &RelPath, hint: Hint) -> Result<Option<Task>, Errno> {
    let stat = match look.root.stat_itself(path.as_str()) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(None),
        stat => stat?,
    };
    Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Task::Folder(path.as_str().to_owned(), hint),
        FileType::Symlink => Task::Path(path.clone(), hint, Naming::IfThere),
        _ => Task::Path(path.clone(), hint, Naming::Plain),
    }))
}

/// Tasks for the literals that nobody came across: behind links, missing, or no files.
fn not_found<'paths>(
    look: &Look<'_>,
    all: &[Findings],
    literals: impl ExactSizeIterator<Item = (&'paths RelPath, Hint)>,
) -> Vec<Task> {
    if literals.len() == 0 {
        return Vec::new();
    }
    let found: HashSet<&RelPath> = all.iter().flat_map(|one| &one.files).map(|(path, _)| path).collect();
    literals
        .filter(|(path, _)| !found.contains(path) && !look.exclusions.bars(path.as_str()))
        .map(|(path, hint)| Task::Path(path.clone(), hint, Naming::Always))
        .collect()
}

fn run_few(look: &Look<'_>, tasks: Vec<Task>, threads: usize) -> Vec<Findings> {
    if tasks.is_empty() {
        return Vec::new();
    }
    let folders = tasks.iter().any(|task| matches!(task, Task::Folder(..)));
    let threads = if folders || tasks.len() > FILES_PER_THREAD { threads } else { 1 };
    run(look, tasks, threads)
}

/// All findings in the order of paths, which is that of what is known of them. A path can be asked for by itself, as a
/// part of a folder and as a link: the answer that knows more counts.
fn merge(all: Vec<Findings>) -> Findings {
    let knows_less = |observation: &Observation| matches!(observation, Observation::Settling { .. });
    let mut findings = Findings::merge(all);
    findings.files.sort_by(|(one, observed), (other, observed_too)| {
        one.cmp(other).then(knows_less(observed).cmp(&knows_less(observed_too)))
    });
    findings.files.dedup_by(|(next, _), (kept, _)| next == kept);
    findings
}
