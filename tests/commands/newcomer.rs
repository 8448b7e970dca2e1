//! What a newcomer types, word by word: `init`, the variables that the manual names, `check`.

use std::process::Command;

use crate::stage::{AUTH_ID, Run, Stage, write};

const README: &str = include_str!("../../README.md");

/// The variables that the manual tells people to export for an account, by the first part of their names.
fn exported_by_the_manual(provider: &str) -> Vec<String> {
    let set_up = README.split("\n## Set up\n").nth(1).unwrap().split("\n### ").next().unwrap();
    let words = set_up.lines().filter(|line| line.contains("export ")).flat_map(str::split_whitespace);
    let names = words.filter_map(|word| word.strip_suffix("=…"));
    names.filter(|name| name.starts_with(provider)).map(str::to_owned).collect()
}

#[test]
fn what_init_wrote_needs_the_variables_that_it_and_the_manual_name_and_no_other() {
    for (provider, options) in [("BANDWIDTH", &[][..]), ("PLIVO", &["--provider", "plivo"])] {
        let stage = Stage::new();
        stage.write("logo.png", b"logo");
        let variables = exported_by_the_manual(provider);
        assert!(variables.len() > 1, "{variables:?}");
        let run = stage.run([&["init"], options].concat()).exits_without_data(0);
        run.says(&format!("export {}=…", variables.join("=… ")));
        let check = |variables: &[String]| {
            let value =
                |name: &String| (name.clone(), if name.ends_with("AUTH_ID") { AUTH_ID } else { "5500012" });
            Run::of(stage.command().envs(variables.iter().map(value)).arg("check"))
        };
        check(&variables).exits_without_data(0).says("1 entry at").says("ok");
        for (position, name) in variables.iter().enumerate() {
            let others = [&variables[..position], &variables[position + 1..]].concat();
            check(&others).exits_without_data(3).says(&format!("{name} is not set"));
        }
    }
}

#[test]
fn what_the_manual_types_splits_what_init_wrote_into_manifest_and_config() {
    let stage = Stage::new();
    stage.write("logo.png", b"logo");
    stage.run(["init"]).exits_without_data(0);
    let section = README.split("\n### Two files\n").nth(1).unwrap().split("\n### ").next().unwrap();
    let typed = section.split("```sh\n").nth(1).unwrap().split("export ").next().unwrap();
    let home = stage.above.path();
    let mut shell = Command::new("sh");
    shell.args(["-c", typed]).env("HOME", home).current_dir(stage.path(""));
    assert!(shell.status().unwrap().success());
    let config = home.join("mediakeep.toml");
    let both = [stage.read("media.toml"), std::fs::read_to_string(&config).unwrap()];
    let [in_manifest, in_config] =
        ["[[media]]", "[provider."].map(|table| both.each_ref().map(|text| text.contains(table)));
    assert_eq!((in_manifest, in_config), ([true, false], [false, true]), "{both:?}");
    let mut check = stage.command();
    check.env("MEDIAKEEP_CONFIG", &config).arg("check");
    for name in exported_by_the_manual("BANDWIDTH") {
        check.env(name, "5500012");
    }
    Run::of(&mut check).exits_without_data(0).says("1 entry at bandwidth").says("ok");
    assert!(!shell.status().unwrap().success(), "a config that is there is not overwritten");
    // As further down, where a service's manifest must lose its account: what is done twice changes nothing.
    let strip = "sed -i -n '/^version/p; /^\\[\\[/,$p'";
    assert_eq!(README.matches(strip).count(), 2);
    let again = format!("{strip} media.toml");
    assert!(Command::new("sh").args(["-c", &again]).current_dir(stage.path("")).status().unwrap().success());
    assert_eq!([stage.read("media.toml"), std::fs::read_to_string(&config).unwrap()], both);
}

#[test]
fn beside_a_config_init_names_its_accounts_and_looks_at_its_root() {
    let stage = Stage::new();
    stage.write("pictures/logo.png", b"logo");
    stage.write("sound.mp3", b"not below root");
    let accounts =
        [stage.bandwidth(""), stage.plivo("").replace("[provider.plivo]", "[provider.second]")].concat();
    let config = stage.above.path().join("config.toml");
    write(
        &config,
        format!("version = 1\n[sync]\nroot = \"media/pictures\"\nstate_dir = \"state\"\n{accounts}"),
    );
    let run = |arguments: &[&str]| {
        Run::of(stage.command().env("MEDIAKEEP_CONFIG", "../config.toml").args(arguments))
    };
    let printed = run(&["init", "--stdout"]).exits(0).prints("to = [\"bandwidth\", \"second\"]");
    assert!(
        !printed.stdout.contains("\n[provider") && !printed.stdout.contains("\n[sync"),
        "{}",
        printed.all()
    );
    run(&["init"]).exits_without_data(0).says("next: `mediakeep check`").never_says("export");
    assert_eq!(stage.read("media.toml"), printed.stdout);
    run(&["check"]).exits_without_data(0).says("1 entry at bandwidth").says("1 entry at second").says("ok");
    run(&["sync"]).exits(0).says("2 of 2 entries alive");
    stage.remove("media.toml");

    run(&["init", "--stdout", "--provider", "plivo"]).exits(0).prints("to = \"second\"");
    write(&config, format!("version = 1\n{}", stage.bandwidth("")));
    run(&["init", "--provider", "plivo"]).exits_without_data(3).says("no account of that kind");
    write(&config, "version = 1\n");
    run(&["init"]).exits_without_data(3).says("has no account").says("[provider.NAME]");
    write(&config, "version = 2\n");
    run(&["init"]).exits_without_data(3).says("config.toml:1");
    stage.run(["init", "--config", "../nowhere.toml"]).exits_without_data(3).says("cannot read the config");
    assert!(!stage.path("media.toml").exists());
}
