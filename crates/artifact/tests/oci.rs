//! Images from OCI layouts, checked with the readers of others: GNU tar makes archives, erofs-utils read the images.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use coracle_artifact::oci::{LayerError, OciError, OciStore, PullSettings, StoredImage};
use coracle_types::Architecture;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const NAME: &str = "registry.example.com/team/agent:1";

/// A store, and a folder for what is put into it.
struct Bench {
    folder: tempfile::TempDir,
    store: OciStore,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = OciStore::open(folder.path().join("containers")).unwrap();
        Self { folder, store }
    }

    fn layout(&self) -> PathBuf {
        self.folder.path().join("layout")
    }

    async fn import(&self, layers: &[Vec<u8>], config: &Value) -> Result<StoredImage, OciError> {
        write_layout(&self.layout(), layers, plain, config);
        let settings = PullSettings::default();
        self.store.import(&self.layout(), Some(NAME), &settings).await
    }

    /// Has erofs-utils check and unpack the image. Its version here reads one device only, so that the disks are put
    /// behind the image, where the blocks are numbered on, and the table of devices is taken out.
    fn unpacked(&self, image: &StoredImage) -> PathBuf {
        let mut flat = fs::read(&image.image).unwrap();
        for disk in &image.disks {
            flat.extend(fs::read(disk).unwrap());
        }
        const SUPERBLOCK: usize = 1024;
        for field in [0x08..0x0c, 0x50..0x5a] {
            flat[SUPERBLOCK + field.start..SUPERBLOCK + field.end].fill(0);
        }
        let blocks = u32::try_from(flat.len() / 4096).unwrap();
        flat[SUPERBLOCK + 0x24..SUPERBLOCK + 0x28].copy_from_slice(&blocks.to_le_bytes());
        let (file, target) = (
            self.folder.path().join("flat"),
            self.folder.path().join("unpacked"),
        );
        fs::write(&file, flat).unwrap();
        let outcome = Command::new("fsck.erofs")
            .arg(format!("--extract={}", target.display()))
            .arg(&file)
            .output()
            .expect("erofs-utils are installed");
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert!(outcome.status.success(), "{said}");
        target
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Writes a layout with one image, and returns the digest of its manifest.
fn write_layout(
    folder: &Path,
    layers: &[Vec<u8>],
    compress: impl Fn(&[u8]) -> Vec<u8>,
    config: &Value,
) -> String {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let digest = digest(bytes);
        fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes).unwrap();
        json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": bytes.len()})
    };
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let configuration = json!({"architecture": Architecture::host().unwrap(), "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", configuration.to_string().as_bytes()),
        "layers": layers.iter().map(|layer| blob("layer.v1.tar", &compress(layer))).collect::<Vec<_>>()});
    let manifest = manifest.to_string();
    let index = json!({"schemaVersion": 2, "manifests": [blob("manifest.v1+json", manifest.as_bytes())]});
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    digest(manifest.as_bytes())
}

/// A layer's archive of files: path, content, mode.
fn layer(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn program() -> Vec<u8> {
    layer(&[("start", b"a static program", 0o755)])
}

fn start() -> Value {
    json!({"Entrypoint": ["/start"]})
}

/// Bytes that no compression makes small and no block repeats.
fn noise(length: usize) -> Vec<u8> {
    (0..length as u64)
        .flat_map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).to_le_bytes())
        .take(length)
        .collect()
}

#[tokio::test]
async fn contents_of_large_layers_stay_with_their_layer_and_are_found_there() {
    let bench = Bench::new();
    let large = noise(3_000_000);
    let image = bench
        .import(
            &[
                layer(&[("start", b"a static program", 0o755), ("large", &large, 0o640)]),
                layer(&[("small", b"small", 0o644)]),
                layer(&[("other", &large[1_000_000..], 0o644)]),
            ],
            &start(),
        )
        .await
        .unwrap();
    assert_eq!((image.disks.len(), image.layers), (2, 3));
    assert!(
        fs::metadata(&image.image).unwrap().len() < 100_000,
        "large contents are not copied"
    );
    let unpacked = bench.unpacked(&image);
    assert_eq!(fs::read(unpacked.join("large")).unwrap(), large);
    assert_eq!(fs::read(unpacked.join("other")).unwrap(), large[1_000_000..]);
    assert_eq!(fs::read(unpacked.join("small")).unwrap(), b"small");
    assert_eq!(
        fs::metadata(unpacked.join("large")).unwrap().permissions().mode() & 0o777,
        0o640
    );
    for made in ["dev", "proc", "run", "sys", "tmp", "etc"] {
        assert!(unpacked.join(made).exists(), "{made}");
    }
}

fn plain(tar: &[u8]) -> Vec<u8> {
    tar.to_vec()
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

fn zstd(tar: &[u8]) -> Vec<u8> {
    zstd::encode_all(tar, 1).unwrap()
}

#[tokio::test]
async fn every_compression_gives_the_same_image() {
    for compress in [plain, gzip, zstd] {
        let bench = Bench::new();
        let digest = write_layout(&bench.layout(), &[program()], compress, &start());
        let imported = bench
            .store
            .import(&bench.layout(), None, &PullSettings::default())
            .await
            .unwrap();
        assert_eq!(format!("sha256:{}", imported.digest), digest);
        let unpacked = bench.unpacked(&imported);
        assert_eq!(fs::read(unpacked.join("start")).unwrap(), b"a static program");
    }
}

/// What GNU tar makes of a folder, in one of its formats.
fn gnu_tar(folder: &Path, format: &str) -> Vec<u8> {
    let outcome = Command::new("tar")
        .args([
            "--create",
            "--sparse",
            &format!("--format={format}"),
            "--directory",
        ])
        .arg(folder)
        .arg(".")
        .output()
        .expect("tar is installed");
    assert!(
        outcome.status.success(),
        "{}",
        String::from_utf8_lossy(&outcome.stderr)
    );
    outcome.stdout
}

#[tokio::test]
async fn archives_of_gnu_tar_come_out_as_they_went_in() {
    for format in ["gnu", "posix"] {
        let bench = Bench::new();
        let folder = bench.folder.path().join("files");
        let deep = folder.join("d".repeat(120)).join("e".repeat(120));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("f".repeat(200)), b"long names").unwrap();
        fs::write(folder.join("start"), b"a static program").unwrap();
        fs::set_permissions(folder.join("start"), fs::Permissions::from_mode(0o4755)).unwrap();
        fs::hard_link(folder.join("start"), folder.join("zz-second-name")).unwrap();
        let holes = fs::File::create(folder.join("holes")).unwrap();
        holes.set_len(50_000_000).unwrap();
        // More pieces than a header has room for.
        for piece in 0..40 {
            std::os::unix::fs::FileExt::write_all_at(&holes, b"piece", piece * 1_000_000).unwrap();
        }
        let image = bench.import(&[gnu_tar(&folder, format)], &start()).await.unwrap();
        let unpacked = bench.unpacked(&image);
        let mut expected = vec![0; 50_000_000];
        for piece in 0..40 {
            expected[piece * 1_000_000..][..5].copy_from_slice(b"piece");
        }
        assert!(fs::read(unpacked.join("holes")).unwrap() == expected, "{format}");
        let long = deep.strip_prefix(&folder).unwrap().join("f".repeat(200));
        assert_eq!(fs::read(unpacked.join(long)).unwrap(), b"long names");
        // Unpacking makes copies of hard links; that they are one inode is seen in a machine.
        assert_eq!(
            fs::read(unpacked.join("zz-second-name")).unwrap(),
            b"a static program"
        );
        let taken: u64 = image
            .disks
            .iter()
            .map(|disk| fs::metadata(disk).unwrap().blocks() * 512)
            .sum();
        assert!(taken < 10_000_000, "holes take no room: {taken} bytes");
    }
}

#[tokio::test]
async fn an_image_of_which_the_layers_together_are_too_large_leaves_nothing() {
    let bench = Bench::new();
    let zeros = [0; 40 * 1024];
    let mut layers = vec![program()];
    layers.extend(["a", "b", "c"].map(|name| layer(&[(name, &zeros[..], 0o644)])));
    let settings = PullSettings {
        max_image: 100 * 1024,
        ..PullSettings::default()
    };
    let import = async |layers: &[Vec<u8>]| {
        write_layout(&bench.layout(), layers, gzip, &start());
        bench.store.import(&bench.layout(), None, &settings).await
    };
    let kept = || {
        let folder = fs::read_dir(bench.folder.path().join("containers/layers")).unwrap();
        folder.count()
    };
    let refused = async |layers: &[Vec<u8>]| match import(layers).await {
        Err(OciError::Layer {
            source: LayerError::TooLarge(limit),
            ..
        }) => assert_eq!(limit, 100 * 1024),
        other => panic!("{other:?}"),
    };
    refused(&layers).await;
    assert_eq!(kept(), 0, "nothing of it is kept");
    import(&layers[..2]).await.unwrap();
    refused(&layers).await;
    assert_eq!(kept(), 2, "what another image has stays");
    import(&[&layers[..1], &layers[2..]].concat()).await.unwrap();
    refused(&layers).await;
    assert_eq!(kept(), 4, "layers that are here already count");
}

#[tokio::test]
async fn an_image_and_its_layers_go_when_nobody_uses_them() {
    let bench = Bench::new();
    let image = bench.import(&[program()], &start()).await.unwrap();
    let nobody = HashSet::new();
    let collect = |in_use: &HashSet<String>, unused_for| bench.store.collect(in_use, unused_for).unwrap();
    assert_eq!(collect(&nobody, Duration::ZERO).images, 0, "it has a name");
    assert!(bench.store.remove_name(NAME).unwrap());
    assert_eq!(
        collect(&nobody, Duration::from_secs(60)).images,
        0,
        "it is too new"
    );
    let used = HashSet::from([image.digest.clone()]);
    assert_eq!(collect(&used, Duration::ZERO).images, 0, "it is in use");
    let collected = collect(&nobody, Duration::ZERO);
    assert_eq!((collected.images, collected.layers), (1, 1));
    assert!(matches!(
        bench.store.get(&image.digest),
        Err(OciError::Unknown(_))
    ));
    bench.import(&[program()], &start()).await.unwrap();
}

#[tokio::test]
async fn a_damaged_layout_is_refused() {
    let bench = Bench::new();
    bench.import(&[program()], &start()).await.unwrap();
    let blobs = bench.layout().join("blobs/sha256");
    let other = tempfile::tempdir().unwrap();
    let store = OciStore::open(other.path()).unwrap();
    for blob in fs::read_dir(blobs).unwrap() {
        let blob = blob.unwrap().path();
        let good = fs::read(&blob).unwrap();
        let mut bad = good.clone();
        bad[0] ^= 1;
        fs::write(&blob, bad).unwrap();
        let refused = store
            .import(&bench.layout(), None, &PullSettings::default())
            .await;
        let error = refused.expect_err("a changed blob");
        assert!(!error.is_local(), "{error}");
        fs::write(&blob, good).unwrap();
    }
    store
        .import(&bench.layout(), None, &PullSettings::default())
        .await
        .unwrap();
}
