//! Whom to pull as: from the configuration, or from a configuration file of Docker with its credential helpers.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long a credential helper may take.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest configuration file and longest answer of a helper, in bytes.
const MAX_TEXT: u64 = 1024 * 1024;
/// What Docker's own tools call Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What helpers call the user when what they give is an identity token.
const IDENTITY_TOKEN_USER: &str = "<token>";

/// What logs in to a registry.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A user and a password, or what a registry takes for one.
    Password {
        /// The user; `AWS` for tokens of Amazon ECR.
        username: String,
        /// The password or token.
        password: SecretString,
    },
    /// A refresh token of OAuth 2.0, which the registry's token server exchanges for tokens of single repositories.
    IdentityToken(SecretString),
}

impl Credentials {
    /// The value of an `Authorization` header; `None` for what is no password.
    pub(super) fn basic(&self) -> Option<String> {
        let Self::Password { username, password } = self else {
            return None;
        };
        let pair = format!("{username}:{}", password.expose_secret());
        Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
    }
}

/// Why credentials could not be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CredentialError {
    #[error("{file} could not be read")]
    File {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("{0} is not a configuration file of Docker")]
    Malformed(String),
    #[error("the credential helper {program} failed")]
    Helper {
        program: String,
        #[source]
        source: io::Error,
    },
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DockerConfig {
    auths: HashMap<String, Auth>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// What Docker's configuration file has for `host`.
pub(super) async fn from_docker(file: &Path, host: &str) -> Result<Option<Credentials>, CredentialError> {
    let shown = file.display().to_string();
    let unreadable = |source| CredentialError::File {
        file: shown.clone(),
        source,
    };
    let opened = tokio::fs::File::open(file).await.map_err(unreadable)?;
    let mut text = Vec::new();
    opened
        .take(MAX_TEXT)
        .read_to_end(&mut text)
        .await
        .map_err(unreadable)?;
    let malformed = || CredentialError::Malformed(shown.clone());
    let config: DockerConfig = serde_json::from_slice(&text).map_err(|_| malformed())?;
    let key = if host == "docker.io" { DOCKER_HUB } else { host };
    if let Some(helper) = config.cred_helpers.get(host).or(config.creds_store.as_ref()) {
        return ask_helper(&format!("docker-credential-{helper}"), key).await;
    }
    let entry = [key.to_owned(), host.to_owned(), format!("https://{host}")];
    let Some(auth) = entry.iter().find_map(|key| config.auths.get(key)) else {
        return Ok(None);
    };
    auth.credentials().ok_or_else(malformed).map(Some)
}

impl Auth {
    fn credentials(&self) -> Option<Credentials> {
        if let Some(token) = self.identitytoken.as_ref().filter(|it| !it.is_empty()) {
            return Some(Credentials::IdentityToken(token.clone().into()));
        }
        if let Some(encoded) = self.auth.as_ref().filter(|it| !it.is_empty()) {
            let pair = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
            let (username, password) = pair.split_once(':')?;
            return Some(Credentials::Password {
                username: username.to_owned(),
                password: password.to_owned().into(),
            });
        }
        Some(Credentials::Password {
            username: self.username.clone()?,
            password: self.password.clone()?.into(),
        })
    }
}

/// Asks a credential helper, by the protocol of Docker's. One that knows nothing of the registry exits with an error.
async fn ask_helper(program: &str, key: &str) -> Result<Option<Credentials>, CredentialError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: String,
        secret: String,
    }
    let failed = |source| CredentialError::Helper {
        program: program.to_owned(),
        source,
    };
    let asking = async {
        let mut helper = tokio::process::Command::new(program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let (stdin, stdout) = (helper.stdin.take(), helper.stdout.take());
        let (mut stdin, stdout) = stdin.zip(stdout).ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(key.as_bytes()).await?;
        drop(stdin);
        let mut text = Vec::new();
        stdout.take(MAX_TEXT).read_to_end(&mut text).await?;
        Ok((helper.wait().await?, text))
    };
    let (status, text) = tokio::time::timeout(HELPER_TIMEOUT, asking)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(failed)?;
    if !status.success() {
        return Ok(None);
    }
    let answer: Answer = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
    let secret = answer.secret.into();
    Ok(Some(if answer.username == IDENTITY_TOKEN_USER {
        Credentials::IdentityToken(secret)
    } else {
        Credentials::Password {
            username: answer.username,
            password: secret,
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    async fn found(config: &str, host: &str) -> Option<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, config).unwrap();
        Some(told(from_docker(&file, host).await.unwrap()?))
    }

    /// Who logs in, and with what.
    fn told(credentials: Credentials) -> (String, String) {
        let (username, secret) = match credentials {
            Credentials::Password { username, password } => (username, password),
            Credentials::IdentityToken(token) => ("a token".to_owned(), token),
        };
        (username, secret.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn dockers_file_is_read_as_docker_reads_it() {
        // "ann:pass:word"
        let config = r#"{"auths": {"registry.example.com:5000": {"auth": "YW5uOnBhc3M6d29yZA=="},
            "https://index.docker.io/v1/": {"username": "bob", "password": "secret"},
            "acr.example.com": {"auth": "MDAwOg==", "identitytoken": "long"}}}"#;
        let ann = Some(("ann".to_owned(), "pass:word".to_owned()));
        assert_eq!(found(config, "registry.example.com:5000").await, ann);
        assert_eq!(found(config, "docker.io").await.unwrap().0, "bob");
        let token = Some(("a token".to_owned(), "long".to_owned()));
        assert_eq!(found(config, "acr.example.com").await, token);
        assert_eq!(found(config, "other.example.com").await, None);
        assert_eq!(found("{}", "docker.io").await, None);
    }

    #[tokio::test]
    async fn a_helper_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let helper = folder.path().join("helper");
        let script = "#!/bin/sh\nread host\ncase $host in known) user=AWS ;; azure) user='<token>' ;; *) exit 1 ;; esac\necho \"{\\\"Username\\\": \\\"$user\\\", \\\"Secret\\\": \\\"token\\\"}\"\n";
        std::fs::write(&helper, script).unwrap();
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = helper.display().to_string();
        let known = ask_helper(&program, "known").await.unwrap().unwrap();
        assert_eq!(known.basic().unwrap(), "Basic QVdTOnRva2Vu");
        let token = ask_helper(&program, "azure").await.unwrap().unwrap();
        assert_eq!(token.basic(), None);
        assert_eq!(told(token).1, "token");
        assert!(ask_helper(&program, "unknown").await.unwrap().is_none());
        assert!(ask_helper("/nowhere", "known").await.is_err());
    }

    #[test]
    fn a_password_is_not_printed() {
        let credentials = Credentials::Password {
            username: "ann".to_owned(),
            password: "hunter2".to_owned().into(),
        };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
