//! The list of an account's media, by limit and offset.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::super::exchange::{Incoming, Surroundings};
use super::super::switches::{ListOrder, PagingLinks, PlivoSwitches};
use super::media::{Key, object};
use super::{Plivo, replies};

/// The largest page (documented).
const LIMIT_MAX: usize = 20;

/// Which part of a list is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    limit: usize,
    offset: usize,
}

impl Page {
    fn read(query: &str) -> Result<Self, &'static str> {
        let mut page = Self { limit: LIMIT_MAX, offset: 0 };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                    page.limit = limit.ok_or("limit must be from 1 to 20")?;
                }
                "offset" => page.offset = value.parse().map_err(|_| "offset must be 0 or more")?,
                _ => {}
            }
        }
        Ok(page)
    }
}

impl Plivo {
    pub(super) fn list(
        &self,
        account: &str,
        incoming: &Incoming<'_>,
        switches: &PlivoSwitches,
        around: &Surroundings<'_>,
    ) -> Response {
        let page = match Page::read(incoming.head.uri.query().unwrap_or_default()) {
            Ok(page) => page,
            Err(why) => return replies::bad_request(why),
        };
        let key = |number| Key { account: account.into(), number };
        let items = || self.media.between(key(0), key(u64::MAX)).map(|(_, item)| &item.value);
        let show = |media| Value::Object(object(account, media, switches, around));
        let objects: Vec<Value> = match switches.list_order {
            ListOrder::OldestFirst => items().skip(page.offset).take(page.limit).map(show).collect(),
            ListOrder::NewestFirst => items().rev().skip(page.offset).take(page.limit).map(show).collect(),
        };
        let meta = meta(account, &page, items().count(), switches.paging_links);
        replies::ok(StatusCode::OK, json!({"meta": meta, "objects": objects}))
    }
}

fn meta(account: &str, page: &Page, total: usize, links: PagingLinks) -> Value {
    let Page { limit, offset } = *page;
    let path = |offset: usize| format!("/v1/Account/{account}/Media?offset={offset}&limit={limit}");
    let mut meta = Map::from_iter([
        ("limit".to_owned(), json!(limit)),
        ("offset".to_owned(), json!(offset)),
        ("total_count".to_owned(), json!(total)),
    ]);
    let next = offset.saturating_add(limit);
    let (next, previous) = match links {
        PagingLinks::Absent => return Value::Object(meta),
        PagingLinks::Null => (None, None),
        PagingLinks::Relative => {
            let previous = (offset > 0).then(|| path(offset.saturating_sub(limit)));
            ((next < total).then(|| path(next)), previous)
        }
        PagingLinks::Hostile => {
            let elsewhere = |offset| format!("https://media-internal.invalid{}", path(offset));
            (Some(elsewhere(next)), Some(elsewhere(offset)))
        }
    };
    meta.insert("next".to_owned(), json!(next));
    meta.insert("previous".to_owned(), json!(previous));
    Value::Object(meta)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_1_to_20_entries() {
        let read = |query| Page::read(query).map(|page| (page.limit, page.offset)).ok();
        for (query, expected) in [
            ("", Some((20, 0))),
            ("limit=5&offset=10", Some((5, 10))),
            ("limit=20&type=x", Some((20, 0))),
            ("limit=0", None),
            ("limit=21", None),
            ("limit=-1", None),
            ("limit=", None),
            ("offset=-1", None),
            ("offset=99999999999999999999", None),
        ] {
            assert_eq!(read(query), expected, "{query}");
        }
    }

    #[test]
    fn links_are_what_the_switch_says() {
        let page = Page { limit: 20, offset: 20 };
        let links = |links| {
            let meta = meta("MA", &page, 41, links);
            (meta.get("next").cloned(), meta.get("previous").cloned())
        };
        let relative = |offset| Some(json!(format!("/v1/Account/MA/Media?offset={offset}&limit=20")));
        assert_eq!(links(PagingLinks::Relative), (relative(40), relative(0)));
        assert_eq!(links(PagingLinks::Null), (Some(Value::Null), Some(Value::Null)));
        assert_eq!(links(PagingLinks::Absent), (None, None));
        assert!(links(PagingLinks::Hostile).0.unwrap().as_str().unwrap().starts_with("https://"));
    }
}
