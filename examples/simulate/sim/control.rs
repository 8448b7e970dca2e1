//! Defects that the simulated surroundings can be given on purpose. Each must be found, or the checks are worth
//! nothing. None of them is in the engine.

/// A defect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Control {
    /// Everything is as it should be.
    #[default]
    None,
    /// The disk says that it made things durable, and did not.
    IgnoreSync,
    /// `state.json` is overwritten where it is.
    WriteInPlace,
    /// The batch with every fifth change is acknowledged and never written.
    DropRecords,
    /// Changes count as recorded as soon as they are to be.
    AcknowledgeEarly,
    /// The loop sleeps through everything for longer than a margin, now and then.
    Oversleep,
    /// Bytes are sent without a look at their hash.
    SendAnyBytes,
    /// Each upload is performed twice.
    UploadTwice,
    /// Orders are answered with a failure that was none, so that the engine sends them again at once.
    Stutter,
    /// A folder that can't be read looks as if some of its files had been deleted.
    TakeUnreadableForMissing,
    /// Copies of published bytes are thrown away.
    LoseCopies,
}
