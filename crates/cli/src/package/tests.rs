use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;

struct Code(tempfile::TempDir);

impl Code {
    fn new(files: &[&str]) -> Self {
        let code = Self(tempfile::tempdir().unwrap());
        for file in files {
            code.write(file, file);
        }
        code
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn zip(&self) -> Result<Package, PackageError> {
        zip(&self.request(), None)
    }

    fn request(&self) -> Request {
        Request {
            code: self.path().to_owned(),
            entry_file: "main.py".to_owned(),
            runtime: RuntimeKind::Python313,
            arch: Arch::X86_64,
            locks: self.path().join("locks"),
            refresh: false,
        }
    }
}

/// Names and modes in a zip, in its order.
fn contents(package: &Package) -> Vec<(String, u32)> {
    let mut archive = ::zip::ZipArchive::new(fs::File::open(&package.file).unwrap()).unwrap();
    (0..archive.len())
        .map(|index| {
            let file = archive.by_index(index).unwrap();
            (
                file.name().unwrap().into_owned(),
                file.unix_mode().unwrap() & 0o777,
            )
        })
        .collect()
}

fn names(package: &Package) -> Vec<String> {
    contents(package).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let code = Code::new(&["main.py", "b/two.py", "a/one.py"]);
    let first = code.zip().unwrap();
    let handle = fs::File::open(code.path().join("main.py")).unwrap();
    handle
        .set_modified(SystemTime::now() - Duration::from_secs(86_400))
        .unwrap();
    fs::set_permissions(code.path().join("a/one.py"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(code.zip().unwrap().sha256, first.sha256);
    let elsewhere = Code::new(&["a/one.py", "main.py", "b/two.py"]);
    assert_eq!(elsewhere.zip().unwrap().sha256, first.sha256);
    code.write("main.py", "changed");
    assert_ne!(code.zip().unwrap().sha256, first.sha256);
}

#[test]
fn files_are_sorted_and_only_their_executability_is_kept() {
    let code = Code::new(&["z.sh", "main.py"]);
    fs::set_permissions(code.path().join("z.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(code.path().join("main.py"), fs::Permissions::from_mode(0o600)).unwrap();
    let package = code.zip().unwrap();
    assert_eq!(
        contents(&package),
        [("main.py".to_owned(), 0o644), ("z.sh".to_owned(), 0o755)]
    );
    assert_eq!((package.files, package.unpacked), (2, 11));
}

#[test]
fn what_does_not_belong_is_left_out_and_named() {
    let code = Code::new(&[
        "main.py",
        "pkg/agentcore/keep.py",
        ".venv/lib/x.py",
        "pkg/__pycache__/main.cpython-313.pyc",
        ".git/config",
        ".env",
        ".env.local",
        "agentcore/agentcore.json",
    ]);
    let package = code.zip().unwrap();
    assert_eq!(names(&package), ["main.py", "pkg/agentcore/keep.py"]);
    assert_eq!(
        package.left_out,
        [
            ".env",
            ".env.local",
            ".git/",
            ".venv/",
            "agentcore/",
            "pkg/__pycache__/"
        ]
    );
}

#[test]
fn projects_add_rules_and_take_ours_back() {
    let code = Code::new(&["main.py", "data/big.bin", "data/keep.bin", "notes.txt", ".env"]);
    code.write(".gitignore", "*.txt\n");
    code.write(".agentcoreignore", "# size\n/data/*\n!/data/keep.bin\n!.env\n");
    assert_eq!(names(&code.zip().unwrap()), [".env", "data/keep.bin", "main.py"]);
}

#[test]
fn links_are_packaged_only_as_files_of_the_project() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "s").unwrap();
    let code = Code::new(&["main.py", "real/file.py"]);
    symlink(outside.path().join("secret"), code.path().join("leak")).unwrap();
    symlink("real", code.path().join("folder")).unwrap();
    symlink("real/file.py", code.path().join("alias.py")).unwrap();
    symlink("nowhere", code.path().join("dangling")).unwrap();
    let package = code.zip().unwrap();
    assert_eq!(names(&package), ["alias.py", "main.py", "real/file.py"]);
    assert_eq!(package.left_out, ["dangling", "folder", "leak"]);
}

#[test]
fn dependencies_lie_beside_the_code_which_wins() {
    let dependencies = Code::new(&["lib/a.py", "lib/__pycache__/a.pyc", "lib/b.pyc", "main.py"]);
    dependencies.write("bin/opentelemetry-instrument", "#!/opt/python3.11\nrun\n");
    let code = Code::new(&["main.py"]);
    code.write("main.py", "ours");
    let package = zip(&code.request(), Some(dependencies.path())).unwrap();
    assert_eq!(
        names(&package),
        ["bin/opentelemetry-instrument", "lib/a.py", "main.py"]
    );
    assert!(package.has_otel_launcher);
    assert_eq!(package.unpacked, 4 + 8 + 22);
}

#[test]
fn dependencies_are_left_out_where_the_project_says_so() {
    let dependencies = Code::new(&["used/a.py", "used/build/b.py", "unused/huge.so"]);
    let code = Code::new(&["main.py"]);
    code.write(".gitignore", "build/\n");
    code.write(".agentcoreignore", "/unused/\n");
    let package = zip(&code.request(), Some(dependencies.path())).unwrap();
    assert_eq!(names(&package), ["main.py", "used/a.py", "used/build/b.py"]);
    assert!(
        package.left_out.contains(&"unused/".to_owned()),
        "{:?}",
        package.left_out
    );
}

#[test]
fn a_missing_or_ignored_entry_file_is_told() {
    let code = Code::new(&["other.py"]);
    assert!(matches!(code.zip(), Err(PackageError::NoEntryFile { .. })));
    let code = Code::new(&["main.py"]);
    code.write(".agentcoreignore", "main.py\n");
    assert!(matches!(code.zip(), Err(PackageError::NoEntryFile { .. })));
    let mut request = code.request();
    request.runtime = RuntimeKind::Node22;
    assert!(matches!(
        check_entry_file(&request),
        Err(PackageError::WrongEntryFile { .. })
    ));
}
