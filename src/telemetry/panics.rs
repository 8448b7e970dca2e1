//! Tells of panics, which are defects of ours, as of everything else: by the queue, so that whoever does not read
//! standard error holds up nobody who survives one, and each format stays what it is. Where nobody writes the log any more
//! they are said as if this were not here; where the queue is full they are lost and counted, as any line.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::dispatcher::{self, Dispatch};
use tracing::error;
use tracing::subscriber::NoSubscriber;

use super::{QUEUE, queue};

/// From now on the queue takes what is to be said of a panic.
pub(super) fn tell_by_queue() {
    let direct = panic::take_hook();
    let is_writer_gone = AtomicBool::new(false);
    panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some(queue::WRITER) {
            is_writer_gone.store(true, Ordering::Relaxed);
        }
        // What is said while something is being said goes nowhere.
        if is_writer_gone.load(Ordering::Relaxed) || dispatcher::get_default(Dispatch::is::<NoSubscriber>) {
            return direct(info);
        }
        tell(info);
        // It may be the last thing that the process does.
        if let Some(queue) = QUEUE.get() {
            let _ = queue.flush(FLUSH_MAX);
        }
    }));
}

fn tell(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let why =
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given");
    let current = std::thread::current();
    let thread = current.name().unwrap_or("without a name");
    let place = info.location().map(ToString::to_string);
    let trace = Backtrace::capture();
    let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
    error!(thread, place, why, trace, "a thread panicked: a defect in mediakeep, please report it");
}

/// A panic is survived, where it is, by a loop that has URLs to renew.
const FLUSH_MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::super::{Format, Verbosity, lines};
    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    const SUBJECT: &str = "panics on purpose";

    /// Runs this on a thread whose panics alone are told so; others go on to be told as tests are.
    fn said_of(verbosity: Verbosity, work: fn()) -> Vec<serde_json::Value> {
        let others = panic::take_hook();
        tell_by_queue();
        let ours = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some(SUBJECT) { ours(info) } else { others(info) }
        }));
        let kept = Kept::default();
        let to = lines(Format::Json, verbosity, kept.clone());
        let run = move || dispatcher::with_default(&to, work);
        let thread = std::thread::Builder::new().name(SUBJECT.to_owned()).spawn(run).unwrap();
        assert!(thread.join().is_err(), "it panics");
        let text = kept.0.lock().unwrap().clone();
        text.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("each line is JSON"))
            .collect()
    }

    #[test]
    fn a_panic_is_one_line_of_the_log_however_little_is_said() {
        let plain: fn() = || panic!("nothing\n\"works\"");
        let worded: fn() = || panic!("{} of {}", 1, 2);
        let other: fn() = || panic::panic_any(7);
        for (work, why) in [(plain, "nothing\n\"works\""), (worded, "1 of 2"), (other, "no reason given")] {
            for verbosity in [Verbosity::Quiet, Verbosity::Everything] {
                let said = said_of(verbosity, work);
                let [line] = &said[..] else { panic!("one line: {said:?}") };
                assert_eq!((&line["level"], &line["why"]), (&"ERROR".into(), &why.into()));
                assert_eq!(line["thread"], SUBJECT);
                assert!(line["place"].as_str().unwrap().contains("panics.rs:"), "{line}");
                assert!(line["message"].as_str().unwrap().contains("panicked"), "{line}");
            }
        }
    }
}
