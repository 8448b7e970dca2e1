use proptest::prelude::*;

use super::testing::{any_change, any_state, change, sample};
use super::*;
use crate::domain::state::State;

fn read(text: &[u8]) -> Result<Decoded, FormatError> {
    decode(text, &mut Shared::default())
}

fn text_of(state: &State) -> String {
    String::from_utf8(encode(state)).unwrap()
}

fn without_checksum(state: &State) -> String {
    let text = text_of(state);
    let end = text.rfind(",\n  \"checksum\"").unwrap();
    format!("{}\n}}\n", &text[..end])
}

#[test]
fn the_state_file_looks_as_the_contract_says() {
    let text = text_of(&sample()).replace(WRITER, "mediakeep X.Y.Z");
    let (text, checksum) = text.split_at(text.find("\"checksum\"").unwrap());
    assert_eq!(checksum.len(), "\"checksum\": \"0123456789abcdef\"\n}\n".len());
    insta::assert_snapshot!(text, @r#"
    {
      "format": 1,
      "writer": "mediakeep X.Y.Z",
      "lineage": "test-lineage",
      "serial": 42,
      "root": {
        "device": 65024,
        "inode": 1234567
      },
      "media": {
        "brand/b.mp3": {
          "bandwidth": {
            "id": "b-1",
            "url": null,
            "scope": "5500012",
            "blake3": "cd44bbfebcfd7451de05095bb415c245372d1da583913047da65a688e45416dd",
            "size": 12345,
            "content_type": "image/png",
            "cache_control": "max-age=3600",
            "uploaded_at": "2026-11-21T16:00:00Z",
            "expires_at": "2026-11-23T15:59:00Z",
            "previous": [
              {
                "id": "b-0",
                "url": "https://media.example/b-0",
                "scope": "5500011",
                "blake3": "c13c734152853611fa5af5c3472567c24e5a43df3ad0092ff7dc95661f553ec2",
                "expires_at": "2026-11-22T03:00:00Z"
              }
            ],
            "problem": {
              "kind": "throttled",
              "detail": "asked to \"slow down\"\nüber",
              "since": "2026-11-21T17:00:00Z",
              "attempts": 3,
              "next_try": "2026-11-21T17:05:00Z"
            },
            "missing_since": "2026-11-21T16:30:00Z",
            "retired_at": "2026-11-21T18:00:00Z"
          }
        },
        "brand/logo.png": {
          "bandwidth": {
            "id": "brand/logo.png",
            "url": "https://media.example/brand/logo.png",
            "scope": "5500012",
            "blake3": "97e66e7531d717c02d74b5d2df2f381ec31a3640031aeac79a8de6cec69d3cc1",
            "size": 12345,
            "content_type": "image/png",
            "cache_control": null,
            "uploaded_at": "2026-11-21T16:00:00Z",
            "expires_at": "2026-11-23T15:59:00Z",
            "previous": [],
            "problem": null
          },
          "plivo": {
            "id": "0b8f6c1e",
            "url": "https://media.example/0b8f6c1e",
            "scope": "5500012",
            "blake3": "4e2d608536dad47a67924efe4885c588172dd4feea63b276b57a8160e82be185",
            "size": 12345,
            "content_type": "image/png",
            "cache_control": null,
            "uploaded_at": "2026-11-21T16:00:00Z",
            "expires_at": "2026-11-23T15:59:00Z",
            "previous": [],
            "problem": null
          }
        },
        "z/empty.png": {
          "plivo": {
            "id": null,
            "url": null,
            "scope": null,
            "blake3": null,
            "size": null,
            "content_type": null,
            "cache_control": null,
            "uploaded_at": null,
            "expires_at": null,
            "previous": [],
            "problem": {
              "kind": "blocked",
              "detail": "the file is empty",
              "since": "2026-11-21T17:00:00Z",
              "attempts": 0,
              "next_try": null
            }
          }
        }
      },
    "#);
}

#[test]
fn a_line_of_the_journal_is_one_object_with_a_check() {
    let mut text = Vec::new();
    encode_line(&mut text, "test-lineage", &change(7, "brand/logo.png", "logo"));
    insta::assert_snapshot!(String::from_utf8(text).unwrap(), @r#"{"lineage":"test-lineage","serial":7,"path":"brand/logo.png","provider":"bandwidth","entry":{"id":"logo","url":"https://media.example/logo","scope":"5500012","blake3":"00c5e20e274eac909aaf810cabf8156f49926ef88b755582d0096d5a2746186a","size":12345,"content_type":"image/png","cache_control":null,"uploaded_at":"2026-11-21T16:00:00Z","expires_at":"2026-11-23T15:59:00Z","previous":[],"problem":null},"check":"ec04caedee053232"}"#);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn every_state_survives_the_text(state in any_state()) {
        let text = encode(&state);
        prop_assert_eq!(read(&text), Ok(Decoded { state: state.clone(), sealed: true }));
        prop_assert_eq!(encode(&state), text);
    }

    #[test]
    fn every_change_survives_its_line(change in any_change(), lineage in any::<String>()) {
        let mut text = Vec::new();
        encode_line(&mut text, &lineage, &change);
        prop_assert_eq!(text.pop(), Some(b'\n'));
        prop_assert!(!text.contains(&b'\n'));
        let line = decode_line(&text, &mut Shared::default()).unwrap();
        prop_assert_eq!(line, Line { lineage: lineage.into(), change });
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<Vec<u8>>(), json in "[{}\\[\\]\",:a-z0-9 ]{0,60}") {
        prop_assert!(read(&text).is_err());
        prop_assert!(read(json.as_bytes()).is_err());
        prop_assert!(decode_line(json.as_bytes(), &mut Shared::default()).is_err());
    }
}

#[test]
fn a_truncated_state_is_refused_with_the_place_where_it_ends() {
    let text = encode(&sample());
    for length in 0..text.len() - 1 {
        match read(&text[..length]) {
            Err(FormatError::Damaged { reason }) => {
                assert!(reason.contains("line") || reason.contains("byte"), "{length}: {reason}");
            }
            other => panic!("{length}: {other:?}"),
        }
    }
}

#[test]
fn a_flipped_bit_is_never_read_as_another_state() {
    let right = sample();
    let text = encode(&right);
    let mut accepted = 0;
    for place in 0..text.len() {
        for bit in 0..8 {
            let mut flipped = text.clone();
            flipped[place] ^= 1 << bit;
            match read(&flipped) {
                // Flips in the last field's own name only cost the seal.
                Ok(Decoded { state, sealed }) => {
                    assert_eq!(state, right, "byte {place}, bit {bit}");
                    assert!(!sealed);
                    accepted += 1;
                }
                Err(error) => assert!(error.is_damage(), "byte {place}, bit {bit}: {error}"),
            }
        }
    }
    assert!(accepted <= 8 * "checksum".len(), "{accepted}");
}

#[test]
fn a_flipped_or_missing_byte_breaks_a_line() {
    let mut line = Vec::new();
    encode_line(&mut line, "l", &change(1, "a.png", "a"));
    line.pop();
    for place in 0..line.len() {
        let mut flipped = line.clone();
        flipped[place] ^= 1;
        assert_eq!(decode_line(&flipped, &mut Shared::default()), Err(LineError::BrokenSeal), "{place}");
        assert_eq!(
            decode_line(&line[..place], &mut Shared::default()),
            Err(LineError::BrokenSeal),
            "{place}"
        );
    }
}

#[test]
fn an_edit_by_hand_counts_only_without_the_checksum() {
    let mut edited = sample();
    edited.serial += 1;
    let with = text_of(&sample()).replace("\"serial\": 42", "\"serial\": 43");
    assert_eq!(read(with.as_bytes()), Err(FormatError::BrokenSeal));
    let compact: serde_json::Value = serde_json::from_str(&with).unwrap();
    assert_eq!(read(compact.to_string().as_bytes()), Err(FormatError::BrokenSeal));
    let without = without_checksum(&sample()).replace("\"serial\": 42", "\"serial\": 43");
    assert_eq!(read(without.as_bytes()), Ok(Decoded { state: edited, sealed: false }));
}

#[test]
fn fields_may_come_in_any_order_and_unknown_ones_are_ignored() {
    let text = without_checksum(&sample());
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["from the future"] = serde_json::json!({ "a": [1, { "b": null }] });
    value["media"]["brand/logo.png"]["plivo"]["weight"] = 7.into();
    // serde_json sorts keys here, so that `media` and `lineage` come before `serial`, and unknown ones among them.
    let reordered = value.to_string();
    assert!(reordered.starts_with("{\"format\"") && reordered.ends_with("\"}"), "{reordered}");
    let moved = reordered.replacen("{\"format\":1,", "{", 1).replacen(
        "\"serial\":42",
        "\"serial\":42,\"format\":1",
        1,
    );
    for text in [reordered, moved] {
        assert_eq!(read(text.as_bytes()).map(|decoded| decoded.state), Ok(sample()), "{text}");
    }
}

#[test]
fn a_later_format_is_refused_by_name_whatever_else_it_holds() {
    for text in [
        r#"{"format": 2, "writer": "mediakeep 9.1.0", "lineage": {"now": "an object"}, "media": [1]}"#,
        r#"{"media": [1], "writer": "mediakeep 9.1.0", "format": 2}"#,
    ] {
        let error = read(text.as_bytes()).unwrap_err();
        assert_eq!(error, FormatError::UnknownFormat { writer: "mediakeep 9.1.0".to_owned(), format: 2 });
        assert!(!error.is_damage());
        assert!(error.to_string().contains("mediakeep 9.1.0"));
    }
}

#[test]
fn the_json_of_others_is_refused() {
    for text in [
        "{}",
        "[]",
        "3",
        "null",
        "\"text\"",
        r#"{"version": 4, "terraform_version": "1.9", "serial": 1, "lineage": "x"}"#,
        r#"{"format": 1, "writer": "another tool 1.0", "lineage": "a", "serial": 1, "media": {}}"#,
        r#"{"format": "1", "writer": "mediakeep 0.1.0", "lineage": "a", "serial": 1, "media": {}}"#,
        r#"{"format": 1, "lineage": "a", "serial": 1, "media": {}}"#,
    ] {
        assert_eq!(read(text.as_bytes()), Err(FormatError::NotOurs), "{text}");
    }
}

#[test]
fn values_that_make_no_sense_are_damage() {
    let good = without_checksum(&sample());
    for (from, to) in [
        ("\"brand/logo.png\": {", "\"../logo.png\": {"),
        ("\"plivo\": {", "\"pli vo\": {"),
        ("\"size\": 12345", "\"size\": -1"),
        ("\"size\": 12345", "\"size\": null"),
        ("\"content_type\": \"image/png\"", "\"content_type\": \"image\""),
        ("\"expires_at\": \"2026-11-23T15:59:00Z\"", "\"expires_at\": \"soon\""),
        ("\"id\": \"0b8f6c1e\"", "\"id\": null"),
        ("\"serial\": 42,", ""),
        ("\"attempts\": 3", "\"attempts\": 3.5"),
    ] {
        assert!(good.contains(from), "{from}");
        let text = good.replacen(from, to, 1);
        assert!(matches!(read(text.as_bytes()), Err(FormatError::Damaged { .. })), "{to}");
    }
    assert!(read(good.as_bytes()).is_ok());
}

#[test]
fn texts_in_common_are_kept_once() {
    let state = read(&encode(&sample())).unwrap().state;
    let handles: Vec<_> = state.records.values().filter_map(|record| record.current.as_ref()).collect();
    let first = handles[0];
    for handle in &handles[1..] {
        assert!(std::ptr::eq(handle.scope.as_str(), first.scope.as_str()));
        assert!(std::ptr::eq(handle.content_type.as_str(), first.content_type.as_str()));
    }
    let plivo: Vec<_> = state.records.keys().filter(|key| key.provider.as_str() == "plivo").collect();
    assert_eq!(plivo.len(), 2);
    assert!(std::ptr::eq(plivo[0].provider.as_str(), plivo[1].provider.as_str()));
}

#[test]
fn times_are_written_in_whole_seconds() {
    let mut change = change(1, "a.png", "a");
    let record = std::sync::Arc::make_mut(change.record.as_mut().unwrap());
    record.retired_at = Some(crate::domain::time::Timestamp::from_unix_ms(1_999));
    let mut line = Vec::new();
    encode_line(&mut line, "l", &change);
    assert!(String::from_utf8(line).unwrap().contains("\"retired_at\":\"1970-01-01T00:00:01Z\""));
}
