//! What it costs to write, read, record and publish the state, and what the machine charges for the same bytes.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::BytesCount;
use mediakeep::domain::asset::{ContentHash, EntryKey, MediaId, MediaType, ProviderName, RelPath, Scope};
use mediakeep::domain::state::{Change, Handle, Record, State};
use mediakeep::domain::state_format::{Shared, decode, encode, encode_line};
use mediakeep::domain::time::Timestamp;
use mediakeep::local::atomic_file::{Durability, replace};
use mediakeep::local::kept::Kept;
use mediakeep::local::state_store::{FolderStore, StateStore};

const SIZES: [u64; 3] = [1_000, 10_000, 100_000];

fn main() {
    divan::main();
}

fn key(number: u64) -> EntryKey {
    EntryKey {
        path: RelPath::new(&format!("folder-{:03}/picture-{number:06}.png", number / 100)).expect("a path"),
        provider: ProviderName::new("bandwidth").expect("a name"),
    }
}

fn record(number: u64) -> Arc<Record> {
    let id = format!("folder-{:03}/picture-{number:06}-0123abcd.png", number / 100);
    let expires_at = Timestamp::from_unix_ms(1_795_449_540_000 + i64::try_from(number).unwrap_or(0) * 1000);
    Arc::new(Record {
        current: Some(Handle {
            url: Some(format!("https://messaging.bandwidth.com/api/v2/users/5500012/media/{id}").into()),
            id: MediaId::new(&id).expect("an ID"),
            scope: Scope::new("5500012").expect("an account"),
            hash: ContentHash::of(&number.to_le_bytes()),
            size: 20_000 + number,
            content_type: MediaType::new("image/png").expect("a type"),
            cache_control: None,
            uploaded_at: Timestamp::from_unix_ms(1_795_276_800_000),
            expires_at,
            steady_expires_at: expires_at,
        }),
        ..Record::default()
    })
}

fn state(entries: u64) -> State {
    let records = (0..entries).map(|number| (key(number), record(number))).collect();
    State { lineage: "0b8f6c1e-0000-4000-8000-000000000000".into(), serial: entries, root: None, records }
}

fn change(serial: u64) -> Change {
    Change { serial, key: key(serial), record: Some(record(serial)) }
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn encode_state(bencher: Bencher<'_, '_>, entries: u64) {
    let state = state(entries);
    bencher.counter(BytesCount::new(encode(&state).len())).bench_local(|| encode(black_box(&state)));
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn encode_as_plain_json(bencher: Bencher<'_, '_>, entries: u64) {
    let value: serde_json::Value = serde_json::from_slice(&encode(&state(entries))).expect("our own JSON");
    bencher.bench_local(|| serde_json::to_vec_pretty(black_box(&value)));
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn decode_state(bencher: Bencher<'_, '_>, entries: u64) {
    let text = encode(&state(entries));
    bencher
        .counter(BytesCount::new(text.len()))
        .bench_local(|| decode(black_box(&text), &mut Shared::default()).expect("our own state"));
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn decode_as_plain_json(bencher: Bencher<'_, '_>, entries: u64) {
    let text = encode(&state(entries));
    bencher
        .bench_local(|| serde_json::from_slice::<serde_json::Value>(black_box(&text)).expect("our own JSON"));
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn publish(bencher: Bencher<'_, '_>, entries: u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut store, lineage) = open(folder.path());
    let state = State { lineage, ..state(entries) };
    bencher.bench_local(|| store.publish(black_box(&state)).expect("a disk that takes it"));
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn write_the_same_bytes_durably(bencher: Bencher<'_, '_>, entries: u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = encode(&state(entries));
    let path = folder.path().join("plain");
    bencher.bench_local(|| {
        replace(&path, black_box(&text), 0o644, Durability::Durable).expect("a disk that takes it");
    });
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn load(bencher: Bencher<'_, '_>, entries: u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut store, lineage) = open(folder.path());
    store.publish(&State { lineage, ..state(entries) }).expect("a disk that takes it");
    bencher.bench_local(|| store.load().expect("our own state"));
}

/// One line and one fdatasync, beside a state of any size.
#[divan::bench(args = SIZES, sample_count = 20)]
fn record_one(bencher: Bencher<'_, '_>, entries: u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut store, lineage) = open(folder.path());
    store.publish(&State { lineage, ..state(entries) }).expect("a disk that takes it");
    let mut serial = entries;
    bencher.bench_local(|| {
        serial += 1;
        store.record(&[change(serial)]).expect("a disk that takes it");
    });
}

/// A batch of lines and one fdatasync.
#[divan::bench(args = [10, 100, 1_000])]
fn record_batch(bencher: Bencher<'_, '_>, lines: u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut store, _) = open(folder.path());
    let mut serial = 0;
    bencher.bench_local(|| {
        let changes: Vec<_> = (serial + 1..=serial + lines).map(change).collect();
        serial += lines;
        store.record(&changes).expect("a disk that takes it");
    });
}

#[divan::bench]
fn append_a_plain_line_durably(bencher: Bencher<'_, '_>) {
    use std::io::Write;
    let mut file = tempfile::tempfile().expect("a temporary file");
    let mut line = Vec::new();
    encode_line(&mut line, "0b8f6c1e-0000-4000-8000-000000000000", &change(1));
    bencher.bench_local(|| file.write_all(black_box(&line)).and_then(|()| file.sync_data()));
}

/// 10 000 copies of 20 kB.
#[divan::bench(sample_count = 5)]
fn keep_ten_thousand_copies(bencher: Bencher<'_, '_>) {
    let content = vec![7; 20_000];
    bencher.with_inputs(|| tempfile::tempdir().expect("a temporary folder")).bench_local_values(|folder| {
        let kept = Kept::new(folder.path());
        for number in 0_u64..10_000 {
            kept.put(&ContentHash::of(&number.to_le_bytes()), black_box(&content))
                .expect("a disk that takes it");
        }
        folder
    });
}

/// The same with nothing but the calls that it takes: create, write, rename.
#[divan::bench(sample_count = 5)]
#[expect(clippy::disallowed_methods, reason = "what the machine charges for plain files")]
fn write_and_rename_ten_thousand_files(bencher: Bencher<'_, '_>) {
    let content = vec![7; 20_000];
    bencher.with_inputs(|| tempfile::tempdir().expect("a temporary folder")).bench_local_values(|folder| {
        for number in 0_u64..10_000 {
            let shard = folder.path().join(format!("{:02x}", number % 256));
            if number < 256 {
                std::fs::create_dir(&shard).expect("a disk that takes it");
            }
            let (temporary, path) =
                (shard.join("temporary"), shard.join(ContentHash::of(&number.to_le_bytes()).to_string()));
            std::fs::write(&temporary, black_box(&content)).expect("a disk that takes it");
            std::fs::rename(temporary, path).expect("a disk that takes it");
        }
        folder
    });
}

fn open(folder: &Path) -> (FolderStore, Arc<str>) {
    let mut store = FolderStore::open(&folder.join("state")).expect("a folder");
    let loaded = store.load().expect("nothing yet");
    (store, loaded.state.lineage)
}
