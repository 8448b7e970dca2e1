//! States to test with: one written by hand, and any number made by chance.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use crate::domain::asset::{ContentHash, EntryKey, MediaId, MediaType, ProviderName, RelPath, Scope};
use crate::domain::observation::RootIdentity;
use crate::domain::state::{Change, Handle, Previous, Record, State, Trouble};
use crate::domain::time::Timestamp;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn key(path: &str, provider: &str) -> EntryKey {
    EntryKey { path: RelPath::new(path).unwrap(), provider: ProviderName::new(provider).unwrap() }
}

/// A handle whose ID, URL and hash come from `id`.
pub(crate) fn handle(id: &str) -> Handle {
    Handle {
        id: MediaId::new(id).unwrap(),
        url: Some(format!("https://media.example/{id}").into()),
        scope: Scope::new("5500012").unwrap(),
        hash: ContentHash::of(id.as_bytes()),
        size: 12_345,
        content_type: MediaType::new("image/png").unwrap(),
        cache_control: None,
        uploaded_at: at("2026-11-21T16:00:00Z"),
        expires_at: at("2026-11-23T15:59:00Z"),
        steady_expires_at: at("2026-11-23T15:59:00Z"),
    }
}

pub(crate) fn live(id: &str) -> Arc<Record> {
    Arc::new(Record { current: Some(handle(id)), ..Record::default() })
}

pub(crate) fn change(serial: u64, path: &str, id: &str) -> Change {
    Change { serial, key: key(path, "bandwidth"), record: Some(live(id)) }
}

pub(crate) fn state(serial: u64, records: impl IntoIterator<Item = (EntryKey, Arc<Record>)>) -> State {
    State { lineage: "test-lineage".into(), serial, root: None, records: records.into_iter().collect() }
}

/// A state in which every field of the format is set somewhere.
pub(crate) fn sample() -> State {
    let troubled = Record {
        current: Some(Handle { url: None, cache_control: Some("max-age=3600".into()), ..handle("b-1") }),
        previous: vec![Previous {
            id: MediaId::new("b-0").unwrap(),
            url: "https://media.example/b-0".into(),
            scope: Scope::new("5500011").unwrap(),
            hash: ContentHash::of(b"b-0"),
            expires_at: at("2026-11-22T03:00:00Z"),
        }],
        trouble: Some(Box::new(Trouble {
            kind: "throttled".into(),
            detail: "asked to \"slow down\"\nüber".into(),
            since: at("2026-11-21T17:00:00Z"),
            attempts: 3,
            next_try: Some(at("2026-11-21T17:05:00Z")),
        })),
        missing_since: Some(at("2026-11-21T16:30:00Z")),
        retired_at: Some(at("2026-11-21T18:00:00Z")),
    };
    let never_up = Record {
        trouble: Some(Box::new(Trouble {
            kind: "blocked".into(),
            detail: "the file is empty".into(),
            since: at("2026-11-21T17:00:00Z"),
            attempts: 0,
            next_try: None,
        })),
        ..Record::default()
    };
    let records = [
        (key("brand/logo.png", "bandwidth"), live("brand/logo.png")),
        (key("brand/logo.png", "plivo"), live("0b8f6c1e")),
        (key("brand/b.mp3", "bandwidth"), Arc::new(troubled)),
        (key("z/empty.png", "plivo"), Arc::new(never_up)),
    ];
    State { root: Some(RootIdentity { device: 65_024, inode: 1_234_567 }), ..state(42, records) }
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (-62_000_000_000_i64..253_000_000_000).prop_map(|seconds| Timestamp::from_unix_ms(seconds * 1000))
}

fn hash() -> impl Strategy<Value = ContentHash> {
    any::<[u8; 32]>().prop_map(ContentHash)
}

fn path() -> impl Strategy<Value = RelPath> {
    vec("[^/\\x00.]{1,8}", 1..4).prop_map(|parts| RelPath::new(&parts.join("/")).unwrap())
}

fn id() -> impl Strategy<Value = MediaId> {
    "[^\\p{Cc}]{1,20}".prop_map(|text| MediaId::new(&text).unwrap())
}

fn scope() -> impl Strategy<Value = Scope> {
    "[^\\p{Cc}]{1,4}".prop_map(|text| Scope::new(&text).unwrap())
}

fn any_handle() -> impl Strategy<Value = Handle> {
    let names = (id(), option::of(any::<String>()), scope(), "[a-z]{1,3}/[a-z]{1,3}");
    (names, hash(), any::<u64>(), option::of(any::<String>()), moment(), moment()).prop_map(
        |((id, url, scope, content_type), hash, size, cache_control, uploaded_at, expires_at)| Handle {
            id,
            url: url.map(Into::into),
            scope,
            hash,
            size,
            content_type: MediaType::new(&content_type).unwrap(),
            cache_control: cache_control.map(Into::into),
            uploaded_at,
            expires_at,
            steady_expires_at: expires_at,
        },
    )
}

fn any_previous() -> impl Strategy<Value = Previous> {
    (id(), any::<String>(), scope(), hash(), moment()).prop_map(|(id, url, scope, hash, expires_at)| {
        Previous { id, url: url.into(), scope, hash, expires_at }
    })
}

fn any_trouble() -> impl Strategy<Value = Trouble> {
    (any::<String>(), any::<String>(), moment(), any::<u32>(), option::of(moment())).prop_map(
        |(kind, detail, since, attempts, next_try)| Trouble {
            kind: kind.into(),
            detail: detail.into(),
            since,
            attempts,
            next_try,
        },
    )
}

fn any_record() -> impl Strategy<Value = Arc<Record>> {
    let times = (option::of(moment()), option::of(moment()));
    (option::of(any_handle()), vec(any_previous(), 0..3), option::of(any_trouble()), times).prop_map(
        |(current, previous, trouble, (missing_since, retired_at))| {
            Arc::new(Record { current, previous, trouble: trouble.map(Box::new), missing_since, retired_at })
        },
    )
}

fn any_key() -> impl Strategy<Value = EntryKey> {
    (path(), "[a-z-]{1,2}")
        .prop_map(|(path, provider)| EntryKey { path, provider: ProviderName::new(&provider).unwrap() })
}

pub(crate) fn any_change() -> impl Strategy<Value = Change> {
    (any::<u64>(), any_key(), option::of(any_record())).prop_map(|(serial, key, record)| Change {
        serial,
        key,
        record,
    })
}

pub(crate) fn any_state() -> impl Strategy<Value = State> {
    let root = option::of((any::<u64>(), any::<u64>()));
    (any::<String>(), any::<u64>(), root, btree_map(any_key(), any_record(), 0..6)).prop_map(
        |(lineage, serial, root, records): (_, _, _, BTreeMap<_, _>)| State {
            lineage: lineage.into(),
            serial,
            root: root.map(|(device, inode)| RootIdentity { device, inode }),
            records: records.into_iter().collect(),
        },
    )
}
