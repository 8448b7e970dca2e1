//! The page as a browser gets it.

use std::sync::Arc;

use super::*;
use crate::domain::lease::LeaseTerms;
use crate::domain::manifest::{SourceName, Unusable};
use crate::domain::reconciler::{AccountOverview, Listed, Overview};
use crate::domain::state::{Record, Trouble};
use crate::domain::testing::{handle, key};

const START: i64 = 1_800_000_000_000;

fn terms() -> LeaseTerms {
    LeaseTerms::new(Duration::from_secs(48 * 3600), None)
}

fn alive(path: &str) -> Listed {
    let handle = handle(path.as_bytes(), Timestamp::from_unix_ms(START), &terms());
    let record = Record { current: Some(handle), ..Record::default() };
    Listed { key: key(path, "bandwidth"), record: Some(Arc::new(record)) }
}

fn with_trouble(path: &str, detail: &str, published: bool) -> Listed {
    let since = Timestamp::from_unix_ms(START);
    let trouble =
        Trouble { kind: "unreadable".into(), detail: detail.into(), since, attempts: 0, next_try: None };
    let record = alive(path).record.filter(|_| published).map_or_else(Record::default, Arc::unwrap_or_clone);
    Listed {
        key: key(path, "bandwidth"),
        record: Some(Arc::new(Record { trouble: Some(Box::new(trouble)), ..record })),
    }
}

fn view(entries: Vec<Listed>) -> View {
    let account = AccountOverview { terms: terms(), connected: true, in_flight: 0, waiting: 0 };
    let accounts = [(key("a", "bandwidth").provider, account)].into();
    let at = Now::at(Timestamp::from_unix_ms(START));
    View {
        overview: Overview { entries, accounts, state_writable: true, ..Overview::default() },
        at,
        walked_at: Some(at),
        rescan: Duration::from_secs(900),
        reading: Reading::default(),
        watching: Mode::Watching { folders: 1 },
    }
}

fn at(hours: u64) -> Now {
    Now::at(Timestamp::from_unix_ms(START) + Duration::from_secs(hours * 3600))
}

fn shown(entries: Vec<Listed>, query: &str, hours: u64) -> String {
    page(Some(&view(entries)), &[], Wish::of(query), at(hours))
}

/// The names of elements, in order, with their attributes; the text between them is left out.
fn elements(page: &str) -> Vec<&str> {
    page.split('<').skip(1).map(|part| part.split('>').next().unwrap()).collect()
}

#[test]
fn it_is_a_page_that_can_be_read_without_eyes_and_without_scripts() {
    let page = shown(vec![alive("logo.png"), with_trouble("b.png", "no", false)], "", 1);
    let elements = elements(&page);
    let has = |element: &str| elements.contains(&element);
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    assert!(has("meta charset=\"utf-8\"") && has("h1") && has("main") && has("caption"), "{page}");
    assert!(page.contains("<title>1 of 2 entries wants attention – mediakeep</title>"), "{page}");
    assert_eq!(elements.iter().filter(|element| **element == "th scope=\"col\"").count(), 8);
    assert_eq!(elements.iter().filter(|element| **element == "th scope=\"row\"").count(), 2);
    assert_eq!(elements.iter().filter(|element| element.starts_with("th")).count(), 8 + 2 + 1, "and thead");
    let pictures: Vec<_> = elements.iter().filter(|element| element.starts_with("svg")).collect();
    assert!(pictures.iter().all(|svg| svg.contains("role=\"img\" aria-label=\"")) && pictures.len() == 1);
    for element in &elements {
        assert!(
            !element.starts_with("script") && !element.contains(" on") && !element.contains(" style="),
            "{element}"
        );
    }
    // Every element that is opened is closed, in the right order.
    let empty = ["meta", "link", "!DOCTYPE"];
    let mut open = Vec::new();
    for element in elements {
        let name = element.split(' ').next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if empty.contains(&name) => {}
            None => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn what_others_wrote_is_text_and_nothing_else() {
    let hostile = "<script>alert(1)</script>.png";
    let mut entry = with_trouble(hostile, "\"><img src=x onerror=alert(1)> & 'so on'", true);
    let mut record = Arc::unwrap_or_clone(entry.record.take().unwrap());
    record.current.as_mut().unwrap().url = Some("javascript:alert(1)".into());
    entry.record = Some(Arc::new(record));
    let page = shown(vec![entry], "", 1);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;.png"), "{page}");
    assert!(page.contains("&quot;&gt;&lt;img src=x onerror=alert(1)&gt; &amp; "), "{page}");
    assert!(
        !page.contains("<script") && !page.contains("<img") && !page.contains("href=\"javascript"),
        "{page}"
    );
}

#[test]
fn what_proves_who_somebody_is_is_left_out_of_an_address() {
    for (url, shown) in [
        ("https://user:word@media.example/a.png", "https://media.example/a.png"),
        ("https://media.example/a.png?Signature=word", "https://media.example/a.png?…"),
    ] {
        let markup = address(url).into_string();
        assert_eq!(markup, shown);
    }
    let plain = address("https://media.example/a.png").into_string();
    assert!(plain.starts_with("<a href=\"https://media.example/a.png\""), "{plain}");
}

#[test]
fn what_wants_attention_comes_first() {
    let entries =
        vec![alive("a.png"), with_trouble("b.png", "gone", true), with_trouble("c.png", "empty", false)];
    let page = shown(entries, "", 1);
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}\n{page}"));
    assert!(place("c.png") < place("b.png") && place("b.png") < place(">a.png"), "{page}");
    assert!(place("empty") < place("gone"));
    assert!(page.contains("kept alive") && page.contains("blocked"));
}

#[test]
fn a_lease_shows_how_far_it_has_run() {
    for (hours, label) in
        [(0, "0 % of the lease has run, 1d 23h left"), (24, "50 % of the lease has run, 23h 59m left")]
    {
        let page = shown(vec![alive("a.png")], "", hours);
        assert!(page.contains(label), "{page}");
    }
    let ended = shown(vec![alive("a.png")], "", 49);
    assert!(ended.contains("100 % of the lease has run, 0ms left") && ended.contains("lapsed"), "{ended}");
}

#[test]
fn many_entries_make_no_heavy_page_unless_it_is_asked_for() {
    let many = || (0..12_000).map(|number| alive(&format!("photos/{number:05}.jpg"))).collect::<Vec<_>>();
    let some = shown(many(), "", 1);
    assert_eq!(some.matches("scope=\"row\"").count(), ROWS);
    assert!(some.contains("href=\"/?all\"") && some.len() < 400_000, "{}", some.len());
    let all = shown(many(), "still&all", 1);
    assert_eq!(all.matches("scope=\"row\"").count(), ROWS_MAX);
    assert!(all.contains("mediakeep status") && !all.contains("http-equiv"));
    let few = shown(vec![alive("a.png")], "", 1);
    assert!(!few.contains("are shown"), "{few}");
}

#[test]
fn it_renews_itself_unless_somebody_wants_it_to_stay() {
    let renewed = shown(Vec::new(), "", 1);
    assert!(
        renewed.contains("http-equiv=\"refresh\" content=\"30\"") && renewed.contains("href=\"/?still\"")
    );
    let still = shown(Vec::new(), "still", 1);
    assert!(!still.contains("http-equiv") && still.contains("href=\"/\""), "{still}");
}

#[test]
fn before_the_first_turn_it_says_so() {
    let page = page(None, &["nothing is known yet".to_owned()], Wish::default(), at(0));
    assert!(page.contains("mediakeep is starting") && page.contains("nothing is known yet"), "{page}");
}

#[test]
fn a_broken_manifest_or_config_is_the_first_that_one_sees() {
    for (source, file) in
        [(SourceName::Manifest, "media.toml"), (SourceName::Config, "/etc/<mediakeep>.toml")]
    {
        let unusable = Unusable { line: Some(3), ..Unusable::new(source, file, "unknown key `x`") };
        let name = unusable.name().replace('<', "&lt;").replace('>', "&gt;");
        let reading = Reading { broken: Some((unusable, at(0).wall)), ..Reading::default() };
        let all_alive = View { reading: reading.clone(), ..view(vec![alive("a.png")]) };
        let page_of = |view: &View| page(Some(view), &[], Wish::default(), at(1));
        let shown = page_of(&all_alive);
        let since = words(at(0).wall);
        let notice = format!(
            "<li>{name} cannot be used since {since}: line 3: unknown key `x`; the last one that worked"
        );
        assert!(shown.contains(&notice), "{shown}");
        assert!(shown.find(&notice) < shown.find("a.png"), "{shown}");
        let verdict = format!("<p class=\"verdict bad\">1 entry alive, but {name} cannot be used</p>");
        assert!(shown.contains(&verdict), "{shown}");
        // Entries that want attention come first in the line, and the notice stays.
        let some_blocked = View { reading, ..view(vec![with_trouble("b.png", "gone", true)]) };
        let shown = page_of(&some_blocked);
        assert!(shown.contains("1 of 1 entry wants attention") && shown.contains(&notice), "{shown}");
    }
    assert!(!shown(vec![alive("a.png")], "", 1).contains("cannot be used"));
}
