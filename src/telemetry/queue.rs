//! Log lines on their way out: a bounded queue, and one thread that writes. Whoever logs never waits for a reader: what
//! finds no room is dropped, counted, and told in its place. It words nothing, and never writes while it holds its lock.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the writer gets, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due<T> {
    /// Something that was said.
    Line(T),
    /// So many lines found no room here.
    Lost(u64),
}

/// Something that takes room while it waits.
pub(super) trait Size {
    /// How much, about.
    fn bytes(&self) -> usize;
}

/// A queue that is emptied by a thread of its own.
#[derive(Debug)]
pub(super) struct Queue<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    inside: Mutex<Inside<T>>,
    /// Something waits for the writer.
    filled: Condvar,
    /// The writer has nothing to do.
    idle: Condvar,
}

#[derive(Debug)]
struct Inside<T> {
    /// One more than [`LINES_MAX`] at most, which is the count of what was lost.
    due: VecDeque<Due<T>>,
    /// How much the lines among them hold: [`BYTES_MAX`] at most.
    bytes: usize,
    is_writing: bool,
}

impl<T: Size + Send + 'static> Queue<T> {
    /// A queue whose thread gives each line to `write`, which may take as long as it takes.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn start(mut write: impl FnMut(Due<T>) + Send + 'static) -> io::Result<Self> {
        let inside = Inside { due: VecDeque::new(), bytes: 0, is_writing: false };
        let shared =
            Arc::new(Shared { inside: Mutex::new(inside), filled: Condvar::new(), idle: Condvar::new() });
        let writers = shared.clone();
        std::thread::Builder::new().name(WRITER.to_owned()).spawn(move || {
            loop {
                write(writers.next());
            }
        })?;
        Ok(Self(shared))
    }

    /// Takes a line, or counts it as lost where there is no room. Never waits for the writer.
    pub(super) fn push(&self, line: T) {
        self.0.lock().push(line);
        self.0.filled.notify_one();
    }

    /// Waits until everything is written, so long at most. Says whether it is.
    pub(super) fn flush(&self, within: Duration) -> bool {
        let is_busy = |inside: &mut Inside<T>| inside.is_writing || !inside.due.is_empty();
        let waited = self.0.idle.wait_timeout_while(self.0.lock(), within, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl<T: Size> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Inside<T>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written next, once there is something. What was taken before has been written.
    fn next(&self) -> Due<T> {
        let mut inside = self.lock();
        inside.is_writing = false;
        loop {
            if let Some(due) = inside.pop() {
                inside.is_writing = true;
                return due;
            }
            self.idle.notify_all();
            inside = self.filled.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T: Size> Inside<T> {
    /// After a loss half of the queue must be free before it takes lines again: a reader that takes one now and then
    /// would get little else than counts.
    fn push(&mut self, line: T) {
        let bytes = line.bytes();
        let has_room = |lines_max, bytes_max| {
            self.due.len() < lines_max && self.bytes.checked_add(bytes).is_some_and(|sum| sum <= bytes_max)
        };
        let (fits, fits_in_half) =
            (has_room(LINES_MAX, BYTES_MAX), has_room(LINES_MAX / 2 + 1, BYTES_MAX / 2));
        match self.due.back_mut() {
            Some(Due::Lost(lost)) if !fits_in_half => *lost += 1,
            _ if !fits => self.due.push_back(Due::Lost(1)),
            _ => {
                self.bytes += bytes;
                self.due.push_back(Due::Line(line));
            }
        }
    }

    fn pop(&mut self) -> Option<Due<T>> {
        let due = self.due.pop_front()?;
        if let Due::Line(line) = &due {
            self.bytes -= line.bytes();
        }
        Some(due)
    }
}

/// The name of the thread that writes.
pub(super) const WRITER: &str = "log";

/// How many lines wait at most,
const LINES_MAX: usize = 4096;
/// and how much they hold. Usual lines are so short that the other limit is met first.
const BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::sync::mpsc;

    use super::*;

    impl Size for u64 {
        fn bytes(&self) -> usize {
            8
        }
    }

    impl Size for String {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A queue into a socket, as the journal's is one.
    fn into_socket() -> (Queue<u64>, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        theirs.set_read_timeout(Some(PATIENCE)).unwrap();
        let write = move |due| {
            let text = match due {
                Due::Line(number) => format!("line {number}"),
                Due::Lost(lost) => format!("lost {lost}"),
            };
            ours.send(text.as_bytes()).unwrap();
        };
        (Queue::start(write).unwrap(), theirs)
    }

    fn read(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).expect("the writer writes");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn a_journal_that_does_not_read_holds_nobody_up_and_hears_how_much_it_lost() {
        let (queue, socket) = into_socket();
        let (done, is_done) = mpsc::channel();
        std::thread::spawn(move || {
            for number in 0..10_000 {
                queue.push(number);
            }
            assert!(!queue.flush(Duration::from_millis(50)), "nobody reads");
            done.send(queue).unwrap();
        });
        let queue = is_done.recv_timeout(PATIENCE).expect("logging waits for nobody");

        // What was taken comes in order, then how much is missing, and all of it together is what was said.
        let (mut taken, mut lost) = (0, None);
        while lost.is_none() {
            match read(&socket).split_once(' ').unwrap() {
                ("line", number) => {
                    assert_eq!(number, taken.to_string());
                    taken += 1;
                }
                (_, count) => lost = Some(count.parse::<u64>().unwrap()),
            }
        }
        assert_eq!(taken + lost.unwrap(), 10_000);
        assert!(taken >= 4096, "only {taken} were kept");

        // There is room again.
        queue.push(10_000);
        assert_eq!(read(&socket), "line 10000");
        assert!(queue.flush(PATIENCE));
    }

    #[test]
    fn a_reader_that_takes_little_hears_of_a_loss_once_and_not_after_each_line() {
        let mut inside = Inside { due: VecDeque::new(), bytes: 0, is_writing: false };
        let mut counts = Vec::new();
        for number in 0..30_000 {
            inside.push(number);
            assert!(inside.due.len() <= LINES_MAX + 1);
            if number % 10 == 0
                && let Some(Due::Lost(lost)) = inside.pop()
            {
                counts.push(lost);
            }
        }
        counts.extend(inside.due.iter().filter_map(|due| match due {
            Due::Lost(lost) => Some(*lost),
            Due::Line(_) => None,
        }));
        assert!((1..=2).contains(&counts.len()), "{counts:?}");
        let lines = inside.due.iter().filter(|due| matches!(due, Due::Line(_))).count();
        assert!(counts.iter().sum::<u64>() > 20_000 && lines > 0, "{counts:?} {lines}");
    }

    #[test]
    fn long_lines_find_no_more_room_than_so_many_bytes() {
        let mut inside = Inside { due: VecDeque::new(), bytes: 0, is_writing: false };
        let long = || "x".repeat(BYTES_MAX / 8);
        for _ in 0..20 {
            inside.push(long());
        }
        let held = |inside: &Inside<String>| {
            let lines = inside.due.iter().map(|due| if let Due::Line(line) = due { line.len() } else { 0 });
            (
                lines.sum::<usize>(),
                inside.due.back().and_then(|due| if let Due::Lost(lost) = due { Some(*lost) } else { None }),
            )
        };
        assert_eq!(held(&inside), (BYTES_MAX, Some(12)));

        // Until half of it is free, a short one is lost, too.
        for lost in 13..16 {
            assert!(matches!(inside.pop(), Some(Due::Line(_))));
            inside.push("short".to_owned());
            assert_eq!(held(&inside).1, Some(lost));
        }
        for _ in 0..2 {
            assert!(matches!(inside.pop(), Some(Due::Line(_))));
        }
        inside.push("short".to_owned());
        assert_eq!(held(&inside), (3 * (BYTES_MAX / 8) + 5, None));
        while inside.pop().is_some() {}
        assert_eq!(inside.bytes, 0);

        // What would fill it alone is lost alone.
        inside.push("x".repeat(BYTES_MAX + 1));
        assert_eq!(held(&inside), (0, Some(1)));
        inside.push(long());
        assert_eq!(held(&inside), (BYTES_MAX / 8, None));
    }

    #[test]
    fn the_end_waits_until_everything_is_written() {
        let (queue, socket) = into_socket();
        assert!(queue.flush(PATIENCE), "nothing was said");
        let reader = std::thread::spawn(move || (0..1000).map(|_| read(&socket)).collect::<Vec<_>>());
        for number in 0..1000 {
            queue.push(number);
        }
        assert!(queue.flush(PATIENCE));
        assert_eq!(reader.join().unwrap().last().unwrap(), "line 999");
    }
}
