use secrecy::ExposeSecret as _;

use super::*;

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn local() -> LocalCoracle {
    let keys = Keys {
        access_key: "LOCAL".to_owned(),
        secret_key: "local".into(),
        session_token: None,
    };
    LocalCoracle {
        credentials_file: "/data/credentials".into(),
        keys,
    }
}

fn target() -> Target {
    Target {
        name: "default".to_owned(),
        region: Some("eu-west-1".to_owned()),
        endpoint_url: Some("http://target:1".to_owned()),
    }
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "env")];

/// Control endpoint, region and access key, with where each came from.
fn summary(inputs: &Inputs) -> [String; 3] {
    let settings = resolve(inputs).unwrap();
    [
        format!(
            "{} < {}",
            settings.endpoints.value.control, settings.endpoints.source
        ),
        format!("{} < {}", settings.region.value, settings.region.source),
        settings.keys.map_or_else(
            || "none".to_owned(),
            |keys| format!("{} < {}", keys.value.access_key, keys.source),
        ),
    ]
}

#[test]
fn flags_beat_the_project_which_beats_variables_which_beat_profiles() {
    let profiles = Profiles::parse(
        "[default]\naws_access_key_id = FILE\naws_secret_access_key = file\n[work]\naws_access_key_id=WORK\naws_secret_access_key=work\n",
        "[default]\nregion = ap-south-1\nendpoint_url = http://profile:1\n[profile work]\nregion = ap-east-1\n",
    );
    let mut inputs = Inputs {
        profiles,
        local: Some(local()),
        ..Inputs::default()
    };
    assert_eq!(
        summary(&inputs),
        [
            "http://profile:1/ < AWS profile",
            "ap-south-1 < AWS profile",
            "FILE < profile `default`"
        ]
    );
    inputs.environment = environment(&[
        KEYS[0],
        KEYS[1],
        ("AWS_DEFAULT_REGION", "us-west-1"),
        ("AWS_ENDPOINT_URL", "http://variable:1"),
    ]);
    assert_eq!(
        summary(&inputs),
        [
            "http://variable:1/ < AWS_ENDPOINT_URL",
            "us-west-1 < AWS_DEFAULT_REGION",
            "ENV < AWS_ACCESS_KEY_ID"
        ]
    );
    inputs.target = Some(target());
    assert_eq!(
        summary(&inputs),
        [
            "http://target:1/ < aws-targets.json",
            "eu-west-1 < aws-targets.json",
            "ENV < AWS_ACCESS_KEY_ID"
        ]
    );
    inputs.flags = Flags {
        has_bearer_token: false,
        endpoint_url: Some("http://flag:1".to_owned()),
        region: Some("us-east-2".to_owned()),
        profile: Some("work".to_owned()),
    };
    assert_eq!(
        summary(&inputs),
        [
            "http://flag:1/ < --endpoint-url",
            "us-east-2 < --region",
            "WORK < profile `work`"
        ]
    );
}

#[test]
fn each_service_has_a_variable_of_its_own() {
    let inputs = Inputs {
        environment: environment(&[
            KEYS[0],
            KEYS[1],
            ("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", "http://data:1"),
            ("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL", "http://control:1"),
            ("AWS_ENDPOINT_URL_S3", "http://s3:1"),
        ]),
        ..Inputs::default()
    };
    let endpoints = resolve(&inputs).unwrap().endpoints.value;
    let urls = [endpoints.data, endpoints.control, endpoints.s3, endpoints.sts].map(|url| url.to_string());
    assert_eq!(
        urls,
        [
            "http://data:1/",
            "http://control:1/",
            "http://s3:1/",
            "http://control:1/"
        ]
    );
}

#[test]
fn profiles_name_endpoints_for_all_services_and_for_single_ones() {
    let config = "[profile work]\nregion = eu-west-1\nendpoint_url = http://all:1\nservices = mine\n\
                  [services mine]\nbedrock_agentcore =\n  endpoint_url = http://data:1\n\
                  # a comment\ns3 =\n  max_attempts = 3\n  endpoint_url = http://s3:1\n";
    let mut inputs = Inputs {
        environment: environment(&[KEYS[0], KEYS[1], ("AWS_PROFILE", "work")]),
        profiles: Profiles::parse("", config),
        ..Inputs::default()
    };
    let urls = |inputs: &Inputs| {
        let endpoints = resolve(inputs).unwrap().endpoints.value;
        [endpoints.data, endpoints.control, endpoints.s3, endpoints.sts].map(|url| url.to_string())
    };
    assert_eq!(
        urls(&inputs),
        ["http://data:1/", "http://all:1/", "http://s3:1/", "http://all:1/"]
    );
    inputs.environment.extend(environment(&[(
        "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE",
        "http://variable:1",
    )]));
    assert_eq!(urls(&inputs)[0], "http://variable:1/");
    inputs
        .environment
        .extend(environment(&[("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")]));
    assert_eq!(
        urls(&inputs)[0],
        "https://bedrock-agentcore.eu-west-1.amazonaws.com/"
    );
}

#[test]
fn a_bucket_elsewhere_does_not_lead_the_rest_away_from_aws() {
    let inputs = Inputs {
        environment: environment(&[
            KEYS[0],
            KEYS[1],
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL_S3", "http://s3:1"),
        ]),
        ..Inputs::default()
    };
    let endpoints = resolve(&inputs).unwrap().endpoints.value;
    assert_eq!(endpoints.s3.as_str(), "http://s3:1/");
    assert_eq!(
        endpoints.control.as_str(),
        "https://bedrock-agentcore-control.eu-west-1.amazonaws.com/"
    );
}

#[test]
fn a_profiles_program_is_asked_only_when_its_keys_are_needed() {
    let mut inputs = Inputs {
        profiles: Profiles::parse(
            "[default]\ncredential_process = exit 1\n",
            "[profile work]\ncredential_process = echo '{\"Version\": 1, \"AccessKeyId\": \"PROCESS\", \
             \"SecretAccessKey\": \"hush\"}'\n",
        ),
        environment: environment(&[KEYS[0], KEYS[1], ("AWS_REGION", "eu-west-1")]),
        ..Inputs::default()
    };
    inputs.ask_process().unwrap();
    assert_eq!(summary(&inputs)[2], "ENV < AWS_ACCESS_KEY_ID");
    inputs.flags.profile = Some("work".to_owned());
    inputs.ask_process().unwrap();
    assert_eq!(summary(&inputs)[2], "PROCESS < profile `work`");
    inputs.flags.profile = Some("default".to_owned());
    let refused = inputs.ask_process().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the `credential_process` of profile `default` gave no credentials"
    );
}

#[test]
fn credentials_and_region_alone_mean_aws() {
    let mut inputs = Inputs {
        environment: environment(&[
            KEYS[0],
            KEYS[1],
            ("AWS_REGION", "eu-west-1"),
            ("AWS_SESSION_TOKEN", "t"),
        ]),
        local: Some(local()),
        ..Inputs::default()
    };
    let settings = resolve(&inputs).unwrap();
    assert!(settings.endpoints.value.is_aws);
    assert_eq!(
        settings.endpoints.value.data.as_str(),
        "https://bedrock-agentcore.eu-west-1.amazonaws.com/"
    );
    assert_eq!(
        settings
            .keys
            .unwrap()
            .value
            .session_token
            .unwrap()
            .expose_secret(),
        "t"
    );
    inputs.flags.region = Some("cn-north-1".to_owned());
    let control = resolve(&inputs).unwrap().endpoints.value.control;
    assert_eq!(
        control.as_str(),
        "https://bedrock-agentcore-control.cn-north-1.amazonaws.com.cn/"
    );
}

#[test]
fn a_local_coracle_fills_what_is_missing() {
    let mut inputs = Inputs {
        local: Some(local()),
        ..Inputs::default()
    };
    let expected = [
        "http://127.0.0.1:4580/ < local Coracle",
        "us-east-1 < Coracle's default",
        "LOCAL < /data/credentials",
    ];
    assert_eq!(summary(&inputs), expected);
    inputs.flags.endpoint_url = Some("http://localhost:9999".to_owned());
    assert_eq!(summary(&inputs)[2], "LOCAL < /data/credentials");
    inputs.flags.endpoint_url = Some("http://elsewhere.example".to_owned());
    assert!(
        matches!(resolve(&inputs), Err(SettingsError::NoCredentials)),
        "keys must not go elsewhere"
    );
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    let refused = |inputs: &Inputs| resolve(inputs).unwrap_err().to_string();
    let mut inputs = Inputs::default();
    assert_eq!(refused(&inputs), "no credentials were found");
    inputs.environment = environment(&KEYS);
    assert_eq!(refused(&inputs), "no region is set");
    inputs.environment = environment(&KEYS[..1]);
    assert_eq!(
        refused(&inputs),
        "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"
    );
    inputs.environment = environment(&KEYS);
    inputs.flags.endpoint_url = Some("127.0.0.1:4580".to_owned());
    assert_eq!(
        refused(&inputs),
        "the endpoint from --endpoint-url is not an http or https URL"
    );
    inputs.flags.profile = Some("nobody".to_owned());
    assert_eq!(
        refused(&inputs),
        "there is no profile `nobody` in the AWS configuration files"
    );
    inputs.profiles = Profiles::parse("", "[profile nobody]\nsso_session = x\n");
    assert_eq!(refused(&inputs), "profile `nobody` has no access key");
}

#[test]
fn secrets_are_never_explained() {
    let inputs = Inputs {
        environment: environment(&[
            ("AWS_ACCESS_KEY_ID", "ENV"),
            ("AWS_SECRET_ACCESS_KEY", "hush-secret"),
            ("AWS_SESSION_TOKEN", "hush-token"),
            ("AWS_REGION", "eu-west-1"),
        ]),
        ..Inputs::default()
    };
    let settings = resolve(&inputs).unwrap();
    let shown = format!("{settings:?} {:?}", settings.explain());
    assert!(!shown.contains("hush"), "{shown}");
}
