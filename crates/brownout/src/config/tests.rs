use super::*;

/// The template with every `#key = value` line uncommented.
fn template_uncommented() -> String {
    let is_setting = |line: &str| {
        line.strip_prefix('#')
            .and_then(|line| line.split_once(" = "))
            .is_some_and(|(key, _)| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
    };
    TEMPLATE
        .lines()
        .map(|line| if is_setting(line) { &line[1..] } else { line })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_template_as_it_stands_is_the_defaults() {
    assert_eq!(Config::parse("t", TEMPLATE), Ok(Config::default()));
    assert_eq!(Config::parse("t", ""), Ok(Config::default()));
}

#[test]
fn what_the_template_says_is_default_is_default() {
    let text = template_uncommented();
    assert_eq!(Config::parse("t", &text), Ok(Config::default()));
    let table: toml::Table = toml::from_str(&text).expect("TOML");
    for (setting, _) in Config::default().settings() {
        let (section, key) = setting.split_once('.').expect("section.key");
        let there = table.get(section).and_then(|section| section.get(key));
        assert!(there.is_some(), "{setting} is not in the template");
    }
}

#[test]
fn defaults_give_no_warning() {
    assert_eq!(Config::default().warnings(), Vec::<String>::new());
}

#[test]
fn every_problem_is_shown_at_once_with_its_place() {
    let text = "[listen]\nadress = \"127.0.0.1:1\"\nconnections_max = 0\n\n[polcy]\nx = 1\n\n[policy]\nquiet_minutes = 4\n\
                detected_few_minutes = \"soon\"\n[proxies]\ntrusted = [\"10.0.0.0/8\", \"10.0.0.0/99\", 7]\n";
    let error = Config::parse("b.toml", text).expect_err("five mistakes and more").to_string();
    insta::assert_snapshot!(error, @r#"
    b.toml:2:1: unknown key `adress` in [listen]
     2 | adress = "127.0.0.1:1"
       | ^^^^^^ did you mean `address`?
    b.toml:3:19: `connections_max` is a whole number from 1 to 1000000
     3 | connections_max = 0
       |                   ^
    b.toml:5:2: unknown section or key `polcy`
     5 | [polcy]
       |  ^^^^^ did you mean `policy`?
    b.toml:9:17: quiet_minutes is outside its range
     9 | quiet_minutes = 4
       |                 ^
    b.toml:10:24: `detected_few_minutes`: invalid type: string "soon", expected u32
     10 | detected_few_minutes = "soon"
        |                        ^^^^^^
    b.toml:12:26: `trusted`: not a block of addresses such as 10.0.0.0/8 or 2001:db8::/32
     12 | trusted = ["10.0.0.0/8", "10.0.0.0/99", 7]
        |                          ^^^^^^^^^^^^^
    b.toml:12:41: `trusted` holds texts in quotes
     12 | trusted = ["10.0.0.0/8", "10.0.0.0/99", 7]
        |                                         ^
    "#);
}

#[test]
fn broken_toml_is_refused_with_its_place() {
    for text in
        ["[listen\n", "[listen]\naddress = \n", "listen = 3", "\u{0}", "[data]\nfolder='x\n", "[a]\n[a]\n"]
    {
        let error = Config::parse("b.toml", text).expect_err(text);
        assert!(error.to_string().starts_with("b.toml:"), "{error}");
    }
}

#[test]
fn values_are_read() {
    let text = "[data]\nfolder = \"/srv/b\"\n[listen]\naddress = \"[::1]:80\"\n[intake]\nproof_of_work = \"on\"\ncomments = false\n\
                [policy]\npossible_sources_min = 12\npossible_per_service_year = 2.5\n[site]\ncontact = \"mailto:a@x.example\"\n\
                [addresses]\nasn_mmdb = \"asn.mmdb\"\n";
    let config = Config::parse("b.toml", text).expect("valid");
    assert_eq!(config.data.folder, PathBuf::from("/srv/b"));
    assert_eq!(config.listen.address.port(), 80);
    assert_eq!(config.intake.proof_of_work, ProofOfWork::On);
    assert!(!config.intake.comments);
    assert_eq!((config.policy.possible_sources_min, config.policy.possible_per_service_year), (12, 2.5));
    assert_eq!(config.site.contact, "mailto:a@x.example");
    assert_eq!(config.addresses.files().collect::<Vec<_>>(), vec![("asn_mmdb", Path::new("asn.mmdb"))]);
}

#[test]
fn an_open_listener_without_proxies_is_warned_about() {
    let config = Config::parse("b", "[listen]\naddress = \"0.0.0.0:80\"\n").expect("valid");
    assert_eq!(config.warnings().len(), 1);
    assert!(config.warnings()[0].contains("trusted is empty"));
}

#[test]
fn a_reload_says_what_waits_for_a_restart() {
    let old = Config::default();
    let new = Config::parse(
        "b",
        "[listen]\naddress = \"127.0.0.1:1\"\n[policy]\nquiet_minutes = 45\n[catalogue]\nfile = \"c.toml\"\n",
    )
    .expect("valid");
    let changes: Vec<String> = Config::reloadable_diff(&old, &new).iter().map(Change::to_string).collect();
    assert_eq!(
        changes,
        [
            "catalogue.file: null -> \"c.toml\" (applies now)",
            "listen.address: \"127.0.0.1:8750\" -> \"127.0.0.1:1\" (applies after a restart)",
            "policy.quiet_minutes: 30 -> 45 (applies now)",
        ]
    );
    assert_eq!(Config::reloadable_diff(&new, &new), Vec::new());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        if let Err(error) = Config::parse("b", &text) {
            proptest::prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn no_mangled_template_makes_the_reader_panic(cut in 0usize..4000, put in "[\\[\\]\"'#=é\\n.0-9a-z]{0,6}") {
        let text = template_uncommented();
        let cut = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= cut).last().unwrap_or(0);
        let _ = Config::parse("b", &format!("{}{put}{}", &text[..cut], &text[cut..]));
    }
}

#[test]
fn what_the_command_line_sets_is_no_change_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("b.toml");
    std::fs::write(&file, "[data]\nfolder = \"elsewhere\"\n").expect("written");
    let overrides = Overrides {
        folder: Some(folder.path().to_owned()),
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 9999))),
    };
    let source = Source { file: file.clone(), overrides };
    let running = source.read().expect("valid");
    assert_eq!((&running.data.folder, running.listen.address.port()), (&folder.path().to_owned(), 9999));
    assert_eq!(Config::reloadable_diff(&running, &source.read().expect("valid")), []);
    std::fs::write(&file, "[policy]\nquiet_minutes = 31\n").expect("written");
    let changes = Config::reloadable_diff(&running, &source.read().expect("valid"));
    let settings: Vec<&str> = changes.iter().map(|change| change.setting.as_str()).collect();
    assert_eq!(settings, ["policy.quiet_minutes"]);
}
