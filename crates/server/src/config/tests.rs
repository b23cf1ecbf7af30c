use coracle_types::Architecture;

use super::*;

#[test]
fn an_empty_file_is_the_default() {
    let config: Config = toml::from_str("").unwrap();
    assert_eq!(config.listen.port(), 4580);
    assert_eq!(config.account.as_str(), "000000000000");
}

#[test]
fn a_misspelt_key_is_refused_and_named() {
    let error = toml::from_str::<Config>("[limits]\nsesions = 3\n").unwrap_err();
    assert!(error.to_string().contains("sesions"), "{error}");
}

#[test]
fn accounts_have_keys_and_quotas_of_their_own() {
    let config: Config = toml::from_str(
        r#"
        [[credentials]]
        access_key_id = "SECOND"
        secret_access_key = "hunter2"
        account = "111111111111"
        principal = "ann"
        [quotas.general]
        runtimes = 5
        active_sessions = 7
        [quotas.accounts.111111111111]
        runtimes = 2
        "#,
    )
    .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let second = &config.credentials[0].account;
    let quotas = config.quotas.resources();
    assert_eq!(quotas.general.runtimes, Some(5));
    assert_eq!(quotas.accounts[second].runtimes, Some(2));
    assert_eq!(config.quotas.active_sessions(second), None);
    assert_eq!(config.quotas.active_sessions(&config.account), Some(7));
}

#[test]
fn a_key_that_could_not_be_named_in_an_arn_is_refused() {
    for (key, principal) in [("not a key", "ann"), ("KEY", "a:b"), ("KEY", "")] {
        let text = format!(
            "[[credentials]]\naccess_key_id = \"{key}\"\nsecret_access_key = \"s\"\n\
             account = \"111111111111\"\nprincipal = \"{principal}\"\n"
        );
        assert!(toml::from_str::<Config>(&text).is_err(), "{key} {principal}");
    }
}

#[test]
fn registries_have_names_with_dots_and_ports() {
    let config: Config = toml::from_str(
        r#"
        [containers]
        max_image_mib = 1
        [registries."registry.example.com:5000"]
        username = "ann"
        password = "hunter2"
        plain_http = true
        "#,
    )
    .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let settings = config.pull_settings();
    assert_eq!(settings.max_image, 1024 * 1024);
    let host = &settings.registries.hosts["registry.example.com:5000"];
    assert_eq!(host.plain_http, Some(true));
    assert!(host.credentials.is_some());
}

#[test]
fn images_for_another_processor_are_wanted_only_where_there_is_none_for_the_own() {
    let architectures = |text: &str| {
        toml::from_str::<Config>(text)
            .unwrap()
            .pull_settings()
            .architectures
    };
    let own = Architecture::host().unwrap();
    assert_eq!(architectures(""), [own]);
    let allowed = "[containers]\nother_architectures = true\n";
    assert_eq!(architectures(allowed), [own, own.other()]);
}

#[test]
fn the_secret_of_the_remote_s3_is_not_printed() {
    let config: Config =
        toml::from_str("[s3]\nregion = \"r\"\naccess_key_id = \"a\"\nsecret_access_key = \"hunter2\"\n")
            .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

/// The parts of a page that are configuration.
fn examples(page: &str) -> Vec<&str> {
    page.split("```toml\n")
        .skip(1)
        .filter_map(|part| part.split("```").next())
        .collect()
}

#[test]
fn the_documentation_says_what_can_be_configured() {
    let pages = [
        include_str!("../../../../docs/operations.md"),
        include_str!("../../../../docs/compatibility.md"),
        include_str!("../../../../docs/security.md"),
    ];
    let examples: Vec<_> = pages.into_iter().flat_map(examples).collect();
    assert!(examples.len() >= 3, "{examples:?}");
    for example in examples {
        if let Err(error) = toml::from_str::<Config>(example) {
            panic!("{error}\nin\n{example}");
        }
    }
}
