//! What an image says of itself: index, manifest and configuration, checked and reduced to what is used. Pure.

use std::collections::BTreeMap;

use coracle_types::Architecture;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};

/// Largest index, manifest or configuration, in bytes.
pub(super) const MAX_DOCUMENT: u64 = 4 * 1024 * 1024;
/// Most layers of an image.
const MAX_LAYERS: usize = 128;
/// The media types of what is asked for.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// What is wrong with what an image says.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ManifestError {
    #[error("the image's {what} is not one")]
    Malformed {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("the image is in Docker's old format, schema 1; build and push it again with a current tool")]
    OldSchema,
    #[error(
        "there is no image for {}; there is one for: {}{}",
        named(wanted).join(" or "),
        has.join(", "),
        remedy(wanted, has)
    )]
    NoPlatform {
        wanted: Vec<Architecture>,
        has: Vec<String>,
    },
    #[error("there are several images; name one of: {}", .0.join(", "))]
    Ambiguous(Vec<String>),
    #[error("an index within an index is not supported")]
    NestedIndex,
    #[error("the image has {0} layers; {MAX_LAYERS} are allowed")]
    TooManyLayers(usize),
    #[error("the image has {layers} layers, but its configuration describes {described}")]
    LayersDisagree { layers: usize, described: usize },
    #[error("the digest {0:?} is not a SHA-256, the only kind that is supported")]
    Digest(String),
    #[error("{0:?} is no layer of a file system, but of type {1}")]
    NotALayer(String, String),
}

fn named(architectures: &[Architecture]) -> Vec<String> {
    architectures.iter().copied().map(platform).collect()
}

fn platform(architecture: Architecture) -> String {
    format!("linux/{architecture}")
}

/// What would let one of these platforms run, if anything would.
fn remedy(wanted: &[Architecture], has: &[String]) -> &'static str {
    let runs = |architecture: &Architecture| {
        !wanted.contains(architecture) && has.contains(&platform(*architecture))
    };
    if Architecture::ALL.iter().any(runs) {
        "; build the image for the server's processor, or have the operator set other_architectures = true in \
         [containers] to run it in emulation, which is slow"
    } else {
        ""
    }
}

/// That an image is for another architecture than is wanted.
pub(super) fn no_platform(wanted: &[Architecture], has: Architecture) -> ManifestError {
    ManifestError::NoPlatform {
        wanted: wanted.to_vec(),
        has: vec![platform(has)],
    }
}

/// What a reference leads to.
#[derive(Debug)]
pub(super) enum Document {
    Index(Box<ImageIndex>),
    Manifest(Box<ImageManifest>),
}

/// Reads an index or a manifest.
pub(super) fn document(bytes: &[u8]) -> Result<Document, ManifestError> {
    #[derive(serde::Deserialize)]
    struct Shape {
        manifests: Option<serde::de::IgnoredAny>,
        #[serde(rename = "fsLayers")]
        old: Option<serde::de::IgnoredAny>,
    }
    let malformed = |what| move |source| ManifestError::Malformed { what, source };
    let shape: Shape = serde_json::from_slice(bytes).map_err(malformed("manifest"))?;
    if shape.old.is_some() {
        return Err(ManifestError::OldSchema);
    }
    if shape.manifests.is_some() {
        let index = serde_json::from_slice(bytes).map_err(malformed("index"))?;
        return Ok(Document::Index(Box::new(index)));
    }
    let manifest: ImageManifest = serde_json::from_slice(bytes).map_err(malformed("manifest"))?;
    if manifest.layers().len() > MAX_LAYERS {
        return Err(ManifestError::TooManyLayers(manifest.layers().len()));
    }
    for layer in manifest.layers() {
        let kind = layer.media_type().to_string();
        if !kind.contains("layer") && !kind.contains("rootfs") {
            return Err(ManifestError::NotALayer(layer.digest().to_string(), kind));
        }
    }
    Ok(Document::Manifest(Box::new(manifest)))
}

/// The manifest for the first of these architectures that there is one for, or else one that does not say what it is
/// for; `name` decides between several images.
pub(super) fn choose<'a>(
    index: &'a ImageIndex,
    architectures: &[Architecture],
    name: Option<&str>,
) -> Result<&'a Descriptor, ManifestError> {
    let all = index.manifests().iter();
    let named = all.clone().filter(|it| name.is_some() && name_of(it) == name);
    let mut candidates: Vec<&Descriptor> = named.collect();
    if candidates.is_empty() {
        candidates.extend(all);
    }
    let fits = |it: &Descriptor, wanted: Option<Architecture>| match (it.platform(), wanted) {
        (Some(platform), Some(architecture)) => {
            platform.os().to_string() == "linux"
                && platform.architecture().to_string() == architecture.as_str()
        }
        (platform, wanted) => platform.is_none() && wanted.is_none(),
    };
    // An image of one platform need not say which; its configuration does. But neither does what is no image.
    let wanted = architectures.iter().copied().map(Some).chain([None]);
    let fitting: Vec<&Descriptor> = wanted
        .map(|wanted| candidates.iter().copied().filter(|it| fits(it, wanted)).collect())
        .find(|fitting: &Vec<_>| !fitting.is_empty())
        .unwrap_or_default();
    let [first, rest @ ..] = fitting.as_slice() else {
        return Err(ManifestError::NoPlatform {
            wanted: architectures.to_vec(),
            has: platforms(index),
        });
    };
    // Variants of one processor: the builder puts the most common first.
    if rest.iter().all(|it| name_of(it) == name_of(first)) {
        return Ok(first);
    }
    let names = fitting
        .iter()
        .map(|it| name_of(it).map_or_else(|| it.digest().to_string(), str::to_owned));
    Err(ManifestError::Ambiguous(names.collect()))
}

fn name_of(descriptor: &Descriptor) -> Option<&str> {
    let annotations = descriptor.annotations().as_ref()?;
    annotations
        .get("org.opencontainers.image.ref.name")
        .map(String::as_str)
}

/// What an index has, without the attestations that some builders put there as `unknown/unknown`.
fn platforms(index: &ImageIndex) -> Vec<String> {
    let mut platforms: Vec<String> = index
        .manifests()
        .iter()
        .filter_map(|it| it.platform().as_ref())
        .map(|platform| format!("{}/{}", platform.os(), platform.architecture()))
        .filter(|platform| !platform.contains("unknown"))
        .collect();
    platforms.sort();
    platforms.dedup();
    platforms
}

/// What is used of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Configuration {
    pub(super) architecture: Architecture,
    /// Digests of the layers' archives, lowest first.
    pub(super) diff_ids: Vec<String>,
    pub(super) user: String,
    pub(super) environment: BTreeMap<String, String>,
    /// Entry point and arguments.
    pub(super) command: Vec<String>,
    pub(super) working_directory: String,
}

/// Reads the configuration of an image with this many layers, for one of these architectures.
pub(super) fn configuration(
    bytes: &[u8],
    layers: usize,
    architectures: &[Architecture],
) -> Result<Configuration, ManifestError> {
    let image: ImageConfiguration =
        serde_json::from_slice(bytes).map_err(|source| ManifestError::Malformed {
            what: "configuration",
            source,
        })?;
    let found = image.architecture().to_string();
    let mut fitting = architectures.iter().filter(|one| one.as_str() == found);
    let (Some(architecture), "linux") = (fitting.next(), image.os().to_string().as_str()) else {
        return Err(ManifestError::NoPlatform {
            wanted: architectures.to_vec(),
            has: vec![format!("{}/{found}", image.os())],
        });
    };
    let diff_ids = image.rootfs().diff_ids();
    if diff_ids.len() != layers {
        return Err(ManifestError::LayersDisagree {
            layers,
            described: diff_ids.len(),
        });
    }
    for id in diff_ids {
        hexadecimal(id)?;
    }
    let config = image.config().clone().unwrap_or_default();
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let variables = list(config.env());
    let folder = config.working_dir().clone().unwrap_or_default();
    Ok(Configuration {
        architecture: *architecture,
        diff_ids: diff_ids.clone(),
        user: config.user().clone().unwrap_or_default(),
        environment: variables
            .iter()
            .filter_map(|variable| variable.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        command: [list(config.entrypoint()), list(config.cmd())].concat(),
        working_directory: format!("/{}", folder.trim_matches('/')),
    })
}

/// The hexadecimal digits of a `sha256:` digest, fit to be part of a file's name.
pub(super) fn hexadecimal(digest: &str) -> Result<&str, ManifestError> {
    digest
        .strip_prefix("sha256:")
        .filter(|hex| hex.len() == 64 && hex.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f')))
        .ok_or_else(|| ManifestError::Digest(digest.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Architecture::{Amd64, Arm64};
    use super::*;

    fn index(manifests: &[Value]) -> ImageIndex {
        let text = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        match document(text.as_bytes()).unwrap() {
            Document::Index(index) => *index,
            Document::Manifest(_) => panic!("an index"),
        }
    }

    fn entry(os: &str, architecture: &str, digit: char) -> Value {
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1,
               "digest": format!("sha256:{}", digit.to_string().repeat(64)),
               "platform": {"os": os, "architecture": architecture}})
    }

    #[test]
    fn the_first_architecture_that_is_there_is_chosen() {
        let both = index(&[
            entry("linux", "arm64", 'a'),
            entry("linux", "amd64", 'b'),
            entry("unknown", "unknown", 'c'),
        ]);
        let digest = |index, architectures: &[Architecture]| {
            choose(index, architectures, None).unwrap().digest().to_string()
        };
        assert!(digest(&both, &[Amd64, Arm64]).ends_with('b'));
        assert!(digest(&both, &[Arm64, Amd64]).ends_with('a'));
        let one = index(&[entry("linux", "arm64", 'a'), entry("linux", "s390x", 'd')]);
        assert!(digest(&one, &[Amd64, Arm64]).ends_with('a'));
    }

    #[test]
    fn a_missing_platform_names_what_there_is_and_what_would_help() {
        let refused = |architectures: &[&str], wanted: &[Architecture]| {
            let entries: Vec<Value> = architectures
                .iter()
                .map(|architecture| entry("linux", architecture, 'a'))
                .collect();
            choose(&index(&entries), wanted, None).unwrap_err().to_string()
        };
        assert_eq!(
            refused(&["s390x", "riscv64"], &[Amd64]),
            "there is no image for linux/amd64; there is one for: linux/riscv64, linux/s390x"
        );
        let other = refused(&["arm64"], &[Amd64]);
        assert!(
            other.contains("linux/arm64; ") && other.contains("other_architectures"),
            "{other}"
        );
        assert!(!refused(&["s390x"], &[Amd64, Arm64]).contains("other_architectures"));
    }

    #[test]
    fn an_image_without_platform_is_taken_if_it_is_the_only_one() {
        let mut bare = entry("linux", "amd64", 'a');
        bare.as_object_mut().unwrap().remove("platform");
        assert!(choose(&index(std::slice::from_ref(&bare)), &[Amd64], None).is_ok());
        let mut named = bare.clone();
        named["annotations"] = json!({"org.opencontainers.image.ref.name": "one"});
        let mut other = bare;
        other["annotations"] = json!({"org.opencontainers.image.ref.name": "two"});
        let two = index(&[named, other]);
        assert!(
            matches!(choose(&two, &[Amd64], None), Err(ManifestError::Ambiguous(names)) if names == ["one", "two"])
        );
        assert!(choose(&two, &[Amd64], Some("two")).is_ok());
    }

    #[test]
    fn what_has_no_platform_is_taken_only_if_nothing_else_fits() {
        let mut bare = entry("linux", "amd64", 'a');
        bare.as_object_mut().unwrap().remove("platform");
        let (amd64, arm64) = (entry("linux", "amd64", 'b'), entry("linux", "arm64", 'c'));
        let digest = |entries: &[&Value], wanted: &[Architecture]| {
            let entries: Vec<Value> = entries.iter().copied().cloned().collect();
            let index = index(&entries);
            choose(&index, wanted, None).unwrap().digest().to_string()
        };
        assert!(digest(&[&bare, &amd64, &arm64], &[Amd64, Arm64]).ends_with('b'));
        assert!(digest(&[&bare, &arm64], &[Amd64, Arm64]).ends_with('c'));
        assert!(digest(&[&arm64, &bare], &[Amd64]).ends_with('a'));
        let (mut one, mut two) = (amd64, bare);
        one["annotations"] = json!({"org.opencontainers.image.ref.name": "one"});
        two["annotations"] = json!({"org.opencontainers.image.ref.name": "two"});
        let both = index(&[one, two]);
        let named = choose(&both, &[Amd64], Some("two")).unwrap();
        assert!(
            named.digest().to_string().ends_with('a'),
            "a name says which is meant"
        );
    }

    fn config(more: Value) -> Value {
        let mut config = json!({"architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", "a".repeat(64))]}});
        config["config"] = more;
        config
    }

    #[test]
    fn entry_point_and_command_are_one_and_absent_members_have_defaults() {
        let text = config(
            json!({"Entrypoint": ["/run"], "Cmd": ["--fast"], "Env": ["A=b=c", "odd"], "WorkingDir": "app/",
            "Labels": null, "Volumes": null, "ExposedPorts": {"8080/tcp": {}}}),
        );
        let read = configuration(text.to_string().as_bytes(), 1, &[Arm64, Amd64]).unwrap();
        assert_eq!(read.architecture, Amd64);
        assert_eq!(read.command, ["/run", "--fast"]);
        assert_eq!(
            read.environment,
            BTreeMap::from([("A".to_owned(), "b=c".to_owned())])
        );
        assert_eq!(read.working_directory, "/app");
        let empty = configuration(config(Value::Null).to_string().as_bytes(), 1, &[Amd64]).unwrap();
        assert_eq!((empty.working_directory.as_str(), empty.user.as_str()), ("/", ""));
    }

    #[test]
    fn a_configuration_that_does_not_fit_the_image_is_refused() {
        let text = config(Value::Null).to_string();
        let refused = |text: &str, layers, architecture| {
            configuration(text.as_bytes(), layers, &[architecture])
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&text, 2, Amd64).contains("2 layers"));
        assert!(refused(&text, 1, Arm64).contains("linux/amd64"));
        assert!(refused(&text.replace(&"a".repeat(64), "../../etc"), 1, Amd64).contains("SHA-256"));
    }
}
