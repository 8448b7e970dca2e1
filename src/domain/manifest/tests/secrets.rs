//! No secret ever leaves a text, however the text is broken.

use proptest::prelude::*;

use super::super::fixtures::{read, read_both};
use super::with_accounts;
use crate::cli::diagnostics::{records, render};
use crate::domain::manifest::Parsed;

/// A word that stands for a secret: no message may hold it.
const CANARY: &str = "hunter2";

/// Everything that could be printed about a text.
fn printed(parsed: &Parsed) -> String {
    let records = serde_json::to_string(&records(&parsed.problems)).unwrap();
    format!(
        "{}{}{records}{:?}",
        render(&parsed.problems, false),
        render(&parsed.problems, true),
        parsed.problems
    )
}

#[track_caller]
fn check(text: &str) {
    for parsed in [read(text), read_both("version = 1", text), read_both(text, "version = 1")] {
        let printed = printed(&parsed);
        assert!(!printed.contains(CANARY), "{text}\n\n{printed}");
    }
}

#[test]
fn the_name_of_a_variable_is_shown_and_what_may_be_a_secret_in_its_place_is_not() {
    for (name, shown) in [
        ("BANDWIDTH_PASSWORD", true),
        ("P2_TOKEN", true),
        ("hunter2", false),
        ("HUNTER2X", true),
        ("A1B2C3D4E5F60718", false),
        ("2TOKENS", false),
        ("TOKEN-2", false),
        (&*"A".repeat(49), false),
    ] {
        let text =
            format!("version = 1\n[provider.b]\nkind = \"bandwidth\"\npasword = {{ env = \"{name}\" }}\n");
        assert_eq!(printed(&read(&text)).contains(name), shown, "{name}");
    }
}

#[test]
fn the_value_of_a_mistyped_key_is_shown_where_no_secret_can_stand_under_the_right_one() {
    for (line, shown) in [
        ("[[media]]\nflie = \"canary\"", true),
        ("[[media]]\ncontent-type = \"canary\"", true),
        ("[[media]]\nexcldue = [\"canary\"]", true),
        ("[sync]\nsetle = \"77s\"", true),
        ("[provider.b]\nmargn = \"77h\"", true),
        ("[provider.b]\nconcurency = 77", false),
        ("[provider.b]\nretension = \"canary\"", false),
        ("[provider.b]\nrat = \"canary\"", false),
        ("[provider.b]\nknd = \"canary\"", false),
        ("[provider.b]\npasword = \"canary\"", false),
        ("[provider.b]\npasword = 77", false),
        ("[provider.b]\nbase-url = \"https://canary\"", false),
        ("[provider.b]\nacount_id = \"canary\"", false),
        ("[[media]]\npassword = \"canary\"", false),
        ("[[media]]\ntox = \"canary\"", false),
        ("[[media]]\nfileto = \"canary\"", false),
        ("[[media]]\npath_key = \"canary\"", false),
        ("[[media]]\nexcldue = [[\"canary\"]]", false),
        ("[[media]]\nflie = { x = \"canary\" }", false),
        ("[[media]]\nsomething = \"canary\"", false),
        ("[sync]\nsetle = \"canary\"", false),
        ("verison = \"canary\"", false),
    ] {
        let parsed = read(&format!("version = 1\n{line}\n"));
        let excerpts = parsed.problems.iter().flat_map(|problem| &problem.labels);
        let of_key = excerpts.filter(|label| label.line == line.lines().count() + 1);
        let of_key: Vec<_> = of_key.filter_map(|label| label.excerpt.as_ref()).collect();
        assert!(!of_key.is_empty(), "{line}");
        let holds = |text: &str| text.contains("canary") || text.contains("77");
        assert!(of_key.iter().all(|excerpt| holds(&excerpt.text) == shown), "{line}: {of_key:?}");
    }
}

#[test]
fn a_secret_in_a_broken_text_is_not_shown() {
    for secret in [
        "password = \"hunter2\"",
        "password = 'hunter2'",
        "password = \"\"\"\nhunter2\n\"\"\"",
        "password = '''hunter2\nhunter2'''",
        "password = \"hunter2\" # hunter2",
        "# hunter2\npassword = 1 # hunter2",
        "pasword = \"hunter2\"",
        "passwort = [\"hunter2\", [\"hunter2\"], { x = \"hunter2\" }]",
        "password = { value = \"hunter2\" }",
        "password = { hunter2 = \"hunter2\" }",
        "password = { env = \"hunter2!\" }",
        "password = { env = \"$hunter2\" } # hunter2",
        "password = { env = [\"hunter2\"] }",
        "password = { credential = \"hunter2/\" }",
        "password = { env = \"A\", file = \"hunter2\" }",
        "password.hunter2 = 1",
        "password.\"hunter2\".x = 1",
        "password.env = { hunter2 = \"hunter2\" }",
        "[provider.bandwidth.password]\nvalue = \"hunter2\"",
        "[provider.bandwidth.pasword]\nhunter2 = \"hunter2\"",
        "[[provider.bandwidth.password]]\nhunter2 = \"hunter2\"",
        "password = hunter2",
        "password = \"hunter2",
        "password = 'hunter2",
        "password = \"\"\"hunter2",
        "password = \"hunter2\\q\"",
        "password \"hunter2\"",
        "password: hunter2",
        "password = { \"hunter2\" }",
        "password = { env = hunter2 }",
        "password = \"part\nhunter2 = x\"",
        "password = \"a\" \"hunter2\"",
        "password = \"hunter2\"\npassword = \"hunter2\"",
        "password = \"hunter2\"\npassword = { env = \"A\" }",
        "hunter2",
        "<<<<<<< HEAD\npassword = \"hunter2\"\n=======\n",
        "username = \"hunter2\\n\"",
        "account_id = [\"hunter2\"]",
        "base_url = \"https://user:hunter2@api.example\"",
        "base_url = \"https://api.example/?key=hunter2\"",
        "base_url = \"http://api.example/hunter2\"",
        "base_url = \"hunter2\"",
        "rate = \"10/s\"\npassword = \"hunter2\"\nrate = 1",
        "client = { password = \"hunter2\", rate = 5 }",
        "kind = { name = \"hunter2\" }",
        "password = 1979-05-27T07:32:00Z # hunter2",
        "password = \"hunter2\"\n[sync]\nsettle = [\"hunter2\"]\nroot = { x = \"hunter2\" }\n",
        "[[media]]\nfile = { x = \"hunter2\" }\nto = { y = [\"hunter2\"] }\n",
        "[media]\npassword = \"hunter2\"",
        "[[sync]]\npassword = \"hunter2\"",
        "[secrets]\npassword = \"hunter2\"",
        "[hook]\npassword = \"hunter2\"",
    ] {
        check(&format!(
            "version = 1\n[provider.bandwidth]\nkind = \"bandwidth\"\naccount_id = \"1\"\n{secret}\n"
        ));
        check(&format!("version = 1\n[provider.bandwidth]\nkind = \"unknown\"\n{secret}\n"));
        check(&format!("version = 1\n{secret}\n"));
        check(&with_accounts(&format!("{secret}\n[[media]]\nfile = \"../x\"\n")));
    }
}

#[test]
fn a_secret_beside_another_mistake_on_one_line_is_masked() {
    for text in [
        "provider.b = { kind = \"bandwidth\", password = \"hunter2\", rate = 1, acount_id = \"1\" } # hunter2",
        "provider = { b = { password = '''hunter2''', kind = \"bandwdith\", x = \"hunter2\" } }",
        "provider.b = { account_id = \"hunter2\", kind = 5 }",
    ] {
        check(&format!("version = 1\n{text}"));
    }
}

#[test]
fn a_mask_tells_no_length() {
    let masked = |secret: &str| {
        let text = with_accounts(&format!(
            "[provider.x]\nkind = \"plivo\"\nauth_id = \"A\"\nauth_token = \"{secret}\"\n"
        ));
        render(&read(&text).problems, false)
    };
    assert_eq!(masked("short"), masked("very much longer than the other one"));
    assert!(masked("short").contains("auth_token = \"***\""));
}

/// Pieces that broken manifests are made of, some with a secret in them.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "\"hunter2\"",
        "'hunter2'",
        "\"\"\"hunter2\"\"\"",
        "\"hunter2",
        "'hunter2",
        "= ",
        "{ ",
        " }",
        "[",
        "]",
        ", ",
        "\n",
        "password",
        "client_secret",
        "auth_token",
        "env",
        "file",
        "to",
        "id",
        "[provider.b]\n",
        "[[media]]\n",
        "[sync]\n",
        "kind = \"bandwidth\"\n",
        "version = 1\n",
        ".",
        "1",
        "true",
        " # hunter2\n",
        "password = \"hunter2\"\n",
        "\\",
        "\r\n",
        "password = { env = \"A\" }\n",
        "rate = 1\n",
        "\"ä\"",
        "base_url = \"hunter2\"\n",
        "x = [\"hunter2\"]\n",
    ];
    proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn no_arrangement_shows_a_secret_value(pieces in proptest::collection::vec(piece(), 0..25)) {
        let text = format!("version = 1\n{}", pieces.concat());
        // A secret that stands where a key stands is a key; it shows only where the text as a whole is TOML.
        let keyed = toml::de::DeTable::parse(&text).is_ok_and(|root| has_secret_key(root.get_ref()));
        prop_assume!(!keyed);
        let printed = printed(&read(&text));
        prop_assert!(!printed.contains(CANARY), "{}\n\n{}", text, printed);
    }
}

fn has_secret_key(table: &toml::de::DeTable<'_>) -> bool {
    table.iter().any(|(key, value)| key.get_ref().contains(CANARY) || holds_secret_key(value.get_ref()))
}

fn holds_secret_key(value: &toml::de::DeValue<'_>) -> bool {
    match value {
        toml::de::DeValue::Table(table) => has_secret_key(table),
        toml::de::DeValue::Array(items) => items.iter().any(|item| holds_secret_key(item.get_ref())),
        _ => false,
    }
}
