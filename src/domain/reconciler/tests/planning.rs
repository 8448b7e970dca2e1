//! The plan and what a pass then does: they agree, and after the pass there is nothing left to do.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::world::{MINUTE, World, manifest};
use crate::domain::asset::EntryKey;
use crate::domain::manifest::Manifest;
use crate::domain::plan::{Action, Plan};
use crate::domain::reconciler::Mode;
use crate::domain::time::Timestamp;

const ONCE: Mode = Mode::Once { tries: 3, patience: Duration::from_secs(30) };

/// What somebody does to the folder.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Write(u8, u8),
    Remove(u8),
    /// Lets this many minutes pass.
    Wait(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        5 => (0..8u8, 0..4u8).prop_map(|(file, content)| Deed::Write(file, content)),
        2 => (0..8u8).prop_map(Deed::Remove),
        2 => (0..1500u64).prop_map(Deed::Wait),
    ]
}

type Rules = &'static [(&'static str, &'static [&'static str])];

fn rules() -> impl Strategy<Value = Rules> {
    const ALL: [Rules; 5] = [
        &[("*.png", &["named"])],
        &[("*.png", &["named", "numbered"])],
        &[("*.png", &["numbered"]), ("0.png", &["named"]), ("5.png", &["named"])],
        &[("[0-3].png*", &["named"]), ("3.png", &["numbered", "named"]), ("gone.png", &["named"])],
        &[("1.png", &["numbered"])],
    ];
    prop::sample::select(&ALL[..])
}

fn play(world: &mut World, deeds: &[Deed], waits: bool) {
    for deed in deeds {
        match *deed {
            Deed::Write(file, content) => world.write(&format!("{file}.png"), &[content, 1]),
            Deed::Remove(file) => world.remove(&format!("{file}.png")),
            Deed::Wait(minutes) if waits => world.run(MINUTE * u32::try_from(minutes).unwrap()),
            Deed::Wait(_) => {}
        }
    }
}

/// A folder that was looked after for a while, and then edited by somebody while nobody looked.
fn lived(rules: Rules, deeds: &[Deed], edits: &[Deed]) -> World {
    let mut world = World::new(manifest(rules));
    world.write("never-removed.png", b"so that the folder is not empty");
    play(&mut world, deeds, true);
    world.run(MINUTE);
    play(&mut world, edits, false);
    world
}

fn requests(plan: &Plan) -> usize {
    plan.items.iter().map(|item| item.requests as usize).sum()
}

fn sent(plan: &Plan) -> Vec<String> {
    let due = plan.items.iter().filter(|item| matches!(item.action, Action::Upload | Action::Renew));
    let mut keys: Vec<_> = due.map(|item| item.key.to_string()).collect();
    keys.sort_unstable();
    keys
}

fn arc(rules: Rules) -> Arc<Manifest> {
    Arc::new(manifest(rules))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(ProptestConfig::default().cases / 4) })]

    #[test]
    fn a_pass_sends_what_the_plan_said_and_leaves_nothing_to_do(
        before in rules(), after in rules(),
        deeds in prop::collection::vec(deed(), 0..20), edits in prop::collection::vec(deed(), 0..10),
    ) {
        let mut world = lived(before, &deeds, &edits);
        let plan = world.plan(arc(after), |_| ());
        prop_assert_eq!(requests(&plan), sent(&plan).len(), "one request for each upload: {:?}", plan);
        let bytes: usize = plan.items.iter().map(|item| usize::try_from(item.bytes).unwrap()).sum();
        prop_assert!(bytes == 0 || requests(&plan) > 0);

        let (already, began) = (world.sent.len(), world.now.steady);
        world.begin(ONCE, arc(after));
        world.run(Duration::ZERO);
        let renewals = world.renewals();
        while !world.engine.is_finished(world.now) {
            prop_assert!(world.now.steady < began + 10 * MINUTE, "the pass does not end");
            world.run(Duration::from_secs(1));
        }
        // What fell due while the pass ran may be renewed by it, or wait for the next one.
        let meanwhile = |key: &str| {
            let of_key = |(known, at): (&EntryKey, &Timestamp)| {
                known.to_string() == key && (began..=world.now.steady).contains(at)
            };
            renewals.iter().any(of_key)
        };
        let mut done: Vec<_> = world.sent[already..].iter().map(ToString::to_string).collect();
        done.sort_unstable();
        let planned = sent(&plan);
        // What is to be let go is kept alive until it is, and may have been due.
        let leaves = |key: &str| {
            plan.items.iter().any(|item| item.action == Action::Retire && item.key.to_string() == key)
        };
        for key in done.iter().filter(|key| !planned.contains(key)) {
            prop_assert!(meanwhile(key) || leaves(key), "{} was sent and not planned: {:?}", key, plan);
        }
        for key in planned.iter().filter(|key| !done.contains(key)) {
            prop_assert!(false, "{} was planned and not sent: {:?}", key, plan);
        }
        let again = world.plan(arc(after), |_| ());
        for key in sent(&again) {
            prop_assert!(meanwhile(&key), "{} is still to be sent: {:?}", key, again);
        }
        prop_assert_eq!(world.dead_urls_seen, 0);
    }

    #[test]
    fn the_order_of_files_changes_nothing(
        rules in rules(), deeds in prop::collection::vec(deed(), 0..20), edits in prop::collection::vec(deed(), 0..10),
        seed in any::<u64>(),
    ) {
        let world = lived(rules, &deeds, &edits);
        let in_order = world.plan(arc(rules), |_| ());
        let shuffled = world.plan(arc(rules), |files| {
            files.sort_by_key(|(path, _)| blake3::hash(format!("{seed} {path}").as_bytes()).to_string());
        });
        prop_assert_eq!(in_order, shuffled);
    }

    #[test]
    fn a_plan_plans_nothing_away(
        rules in rules(), deeds in prop::collection::vec(deed(), 0..20), edits in prop::collection::vec(deed(), 0..10),
    ) {
        let world = lived(rules, &deeds, &edits);
        let plan = world.plan(arc(rules), |_| ());
        prop_assert_eq!(&plan, &world.plan(arc(rules), |_| ()));
        // Every recorded entry is on it, each once.
        for key in world.published.records.keys() {
            let count = plan.items.iter().filter(|item| item.key == *key).count();
            prop_assert_eq!(count, 1, "{}", key);
        }
        for item in &plan.items {
            let sends = matches!(item.action, Action::Upload | Action::Renew);
            prop_assert_eq!(sends, item.requests == 1, "{:?}", item);
            prop_assert_eq!(item.requests == 0, item.bytes == 0, "{:?}", item);
        }
    }
}
