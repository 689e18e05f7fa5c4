//! `setup`: libtorch in `.venv`, reached through `.libtorch`; system packages where a crate needs them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

/// The libtorch that tch is made for, and the package of the same version that carries it.
const TORCH_VERSION: &str = "2.11.0";
const LINK: &str = ".libtorch";

/// Options of `setup`.
#[derive(Debug, Default, Args)]
pub(crate) struct Arguments {
    /// Try again to install OpenCV, and fail where it cannot be had
    #[arg(long)]
    opencv: bool,
    #[arg(skip)]
    named: bool,
}

impl Arguments {
    /// The set-up that was asked for by name: what failed before is tried again.
    pub(crate) fn named(self) -> Self {
        Self { named: true, ..self }
    }

    fn again(&self) -> bool {
        self.named || self.opencv
    }
}

/// Makes sure of libtorch, a C++ compiler and, where it can be had, OpenCV.
pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    compiler()?;
    match std::env::var_os("LIBTORCH").map(PathBuf::from).filter(|given| !is_own(root, given)) {
        Some(given) => link(root, &checked(&given)?)?,
        None => link(root, &own_libtorch(root, &python())?)?,
    }
    if !depending_on_opencv(root)?.is_empty() {
        opencv(root, arguments)?;
    }
    Ok(())
}

/// `.cargo/config.toml` exports LIBTORCH as the link itself: that is not a user's own.
fn is_own(root: &Path, given: &Path) -> bool {
    given == root.join(LINK) || given == Path::new(LINK)
}

fn compiler() -> Result<()> {
    let name = std::env::var_os("CXX").unwrap_or_else(|| OsString::from("c++"));
    let found = Command::new(&name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        bail!("no C++ compiler `{}`; torch-sys needs one: install g++ or clang, or set CXX", name.display());
    }
    Ok(())
}

fn python() -> OsString {
    std::env::var_os("PYTHON").unwrap_or_else(|| OsString::from("python3"))
}

/// The torch package of the workspace's own environment, installed if need be.
fn own_libtorch(root: &Path, python: &OsString) -> Result<PathBuf> {
    let venv = root.join(".venv");
    if let Some(package) = package(&venv).filter(|package| version(package).as_deref() == Some(TORCH_VERSION))
    {
        return Ok(package);
    }
    if !venv.join("bin/pip").exists() {
        eprintln!("making .venv with {}", python.display());
        // An environment without pip is one whose making was interrupted: `--clear` starts it afresh.
        let status = Command::new(python).args(["-m", "venv", "--clear"]).arg(&venv).status();
        let status = status.with_context(|| {
            format!("no Python `{}`: install Python 3.10 or later, or set PYTHON, or set LIBTORCH to a libtorch {TORCH_VERSION}", python.display())
        })?;
        if !status.success() {
            bail!(
                "`{} -m venv` failed: install its venv module (Debian: python3-venv) and run again",
                python.display()
            );
        }
    }
    eprintln!(
        "installing torch {TORCH_VERSION} into .venv (about 5 GB; interrupted downloads start where pip's cache ends)"
    );
    let requirement = format!("torch=={TORCH_VERSION}");
    let output = Command::new(venv.join("bin/pip"))
        .args(["install", "--disable-pip-version-check", &requirement])
        .stderr(Stdio::piped())
        .stdout(Stdio::inherit())
        .output()
        .context("running pip of .venv: remove .venv and run again")?;
    if !output.status.success() {
        bail!("{}", explained(&String::from_utf8_lossy(&output.stderr)));
    }
    package(&venv).context("pip installed torch, but it is not in .venv; remove .venv and run again")
}

/// pip's last words, and what to do about them.
fn explained(errors: &str) -> String {
    let last = errors
        .lines()
        .rev()
        .find(|line| line.contains("ERROR"))
        .or_else(|| errors.lines().last())
        .unwrap_or("");
    let cause = match errors {
        text if text.contains("No space left") => {
            "the disk is full: torch needs about 10 GB while it installs"
        }
        text if text.contains("Network is unreachable")
            || text.contains("NewConnectionError")
            || text.contains("Max retries") =>
        {
            "no network: connect and run again, or set LIBTORCH to a libtorch of this version"
        }
        text if text.contains("No matching distribution") => {
            "no package for this Python or system, or no network: use Python 3.10 to 3.14 on Linux or macOS, or set LIBTORCH"
        }
        _ => "run again, or set LIBTORCH to a libtorch of this version",
    };
    format!("torch {TORCH_VERSION} could not be installed: {last}: {cause}")
}

/// `lib/python3.*/site-packages/torch` with its libraries.
fn package(venv: &Path) -> Option<PathBuf> {
    let libraries = fs::read_dir(venv.join("lib")).ok()?.flatten();
    let packages = libraries.map(|entry| entry.path().join("site-packages/torch"));
    packages.into_iter().find(|package| {
        package.join("lib/libtorch_cpu.so").exists() || package.join("lib/libtorch_cpu.dylib").exists()
    })
}

/// Version without build suffix, from `version.py` of a package or `build-version` of an archive.
fn version(libtorch: &Path) -> Option<String> {
    let text = fs::read_to_string(libtorch.join("build-version"))
        .or_else(|_| fs::read_to_string(libtorch.join("version.py")))
        .ok()?;
    let line = text.lines().find(|line| line.starts_with("__version__")).unwrap_or(&text);
    let number = line.split(['\'', '"']).find(|part| part.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(number.split('+').next().unwrap_or(number).trim().to_owned())
}

/// A user's own libtorch, when it is of the right version.
fn checked(given: &Path) -> Result<PathBuf> {
    match version(given) {
        Some(found) if found == TORCH_VERSION => Ok(given.to_owned()),
        Some(found) => bail!(
            "LIBTORCH={} is version {found}, expected {TORCH_VERSION}; unset it to use .venv",
            given.display()
        ),
        None => bail!(
            "LIBTORCH={} is no libtorch (no build-version, no version.py); unset it to use .venv",
            given.display()
        ),
    }
}

/// Points `.libtorch` at `target`, relative inside the workspace.
fn link(root: &Path, target: &Path) -> Result<()> {
    let link = root.join(LINK);
    let target = target.strip_prefix(root).unwrap_or(target);
    if fs::read_link(&link).is_ok_and(|old| old == target) {
        return Ok(());
    }
    if link.symlink_metadata().is_ok() {
        fs::remove_file(&link).with_context(|| format!("replacing {}", link.display()))?;
    }
    std::os::unix::fs::symlink(target, &link).with_context(|| format!("linking {}", link.display()))
}

/// The Python of an environment of its own with pinned packages, installed if need be.
pub(crate) fn python_environment(venv: &Path, requirements: &Path) -> Result<PathBuf> {
    let program = venv.join("bin/python");
    let wanted =
        fs::read_to_string(requirements).with_context(|| format!("reading {}", requirements.display()))?;
    let stamp = venv.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(program);
    }
    let made = Command::new(python()).args(["-m", "venv"]).arg(venv).status().context("starting Python")?;
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args(["install", "--quiet", "--requirement"]).arg(requirements);
    if !made.success() || !pip.status().context("starting pip")?.success() {
        bail!("{} could not be installed into {}; see above", requirements.display(), venv.display());
    }
    fs::write(stamp, wanted)?;
    Ok(program)
}

/// Members whose default features need OpenCV.
fn depending_on_opencv(root: &Path) -> Result<Vec<String>> {
    let depends = |member: &String| {
        let manifest = fs::read_to_string(root.join(member).join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line.starts_with("opencv.") || line.starts_with("opencv ="))
    };
    Ok(crate::reproduce::members(root)?.into_iter().filter(depends).collect())
}

/// Members that are built with `--no-default-features` here, because OpenCV is not there.
pub(crate) fn without_opencv(root: &Path) -> Result<Vec<String>> {
    if has_opencv() { Ok(Vec::new()) } else { depending_on_opencv(root) }
}

/// Whether OpenCV with its contributed modules is there, and the clang that its bindings are made with.
fn has_opencv() -> bool {
    let said = |name: &str, arguments: &[&str]| {
        let output = Command::new(name).args(arguments).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let folders = said("pkg-config", &["--cflags-only-I", "opencv4"]).unwrap_or_default();
    let header = |flag: &str| Path::new(flag.trim_start_matches("-I")).join("opencv2/ximgproc.hpp").exists();
    folders.split_whitespace().any(header) && said("clang", &["--version"]).is_some()
}

/// Written when OpenCV could not be installed, so that only `setup` tries again.
const NO_OPENCV: &str = "target/no-opencv.txt";

/// Installs OpenCV where it is missing; where that fails says so, and everything goes on without it.
fn opencv(root: &Path, arguments: &Arguments) -> Result<()> {
    if has_opencv() {
        return Ok(());
    }
    let stamp = root.join(NO_OPENCV);
    let known = fs::read_to_string(&stamp).ok().filter(|_| !arguments.again());
    let problem = match known {
        Some(problem) => problem,
        None => match install_opencv() {
            Ok(()) if has_opencv() => return Ok(()),
            Ok(()) => "its packages lack `opencv2/ximgproc.hpp` or clang".to_owned(),
            Err(error) => format!("{error:#}"),
        },
    };
    if arguments.opencv {
        bail!("no OpenCV: {problem}");
    }
    eprintln!(
        "NO OPENCV: {problem}. Built without the second backend of {}, which stays UNTESTED; `cargo xtask setup` tries again",
        depending_on_opencv(root)?.join(", ")
    );
    fs::create_dir_all(root.join("target"))?;
    fs::write(&stamp, problem).with_context(|| format!("writing {}", stamp.display()))
}

/// Installs OpenCV, clang and pkg-config when root, else says which command does.
fn install_opencv() -> Result<()> {
    let managers = [
        (
            "apt-get",
            "apt-get install -y --no-install-recommends libopencv-dev libopencv-contrib-dev libclang-dev clang pkg-config",
        ),
        ("dnf", "dnf install -y opencv-devel opencv-contrib clang-devel clang pkgconf"),
        ("pacman", "pacman -S --noconfirm opencv vtk clang pkgconf"),
        ("apk", "apk add opencv-dev clang-dev clang pkgconf"),
        ("brew", "brew install opencv llvm pkg-config"),
    ];
    install(&managers)
}

/// Runs the command of the package manager that is there.
fn install(managers: &[(&str, &str)]) -> Result<()> {
    let exists = |name: &str| Command::new(name).arg("--version").output().is_ok();
    let Some((name, command)) = managers.iter().find(|(name, _)| exists(name)) else {
        bail!("no package manager is known here");
    };
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !root && *name != "brew" {
        bail!("`sudo {command}` installs it");
    }
    eprintln!("{command}");
    let script = match *name {
        // Without a network it should not take minutes to find that out.
        "apt-get" => {
            let options = "-o Acquire::Retries=1 -o Acquire::http::Timeout=30";
            format!(
                "export DEBIAN_FRONTEND=noninteractive; apt-get {options} -q update && {}",
                command.replacen("apt-get", &format!("apt-get {options} -q"), 1)
            )
        }
        _ => (*command).to_owned(),
    };
    // What it says is for reading only when it fails.
    let output = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output();
    let output = output.context("starting the package manager")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        bail!("`{command}` failed: {last}");
    }
    Ok(())
}

/// Installs Chromium where it is missing and can be had: the page of `annotate` is tested in it. Never fails.
pub(crate) fn chromium() {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
    let exists = |name: &String| Command::new(name).arg("--version").output().is_ok();
    if std::env::var("CHROMIUM").into_iter().chain(names.map(str::to_owned)).any(|name| exists(&name)) {
        return;
    }
    let managers = [
        ("apt-get", "apt-get install -y --no-install-recommends chromium"),
        ("dnf", "dnf install -y chromium-headless"),
        ("pacman", "pacman -S --noconfirm chromium"),
        ("apk", "apk add chromium"),
    ];
    if let Err(error) = install(&managers) {
        eprintln!("NO CHROMIUM: {error:#}. The page of `click-mil annotate` stays UNTESTED in a browser");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(path: &Path, body: &str) {
        use std::os::unix::fs::PermissionsExt;
        fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A Python whose `-m venv --clear DIR` makes a pip that runs `pip`.
    fn fake_python(folder: &Path, pip: &str) -> OsString {
        let path = folder.join("python");
        let body = format!(
            "mkdir -p \"$4/bin\"; cat > \"$4/bin/pip\" <<'P'\n#!/bin/sh\n{pip}\nP\nchmod +x \"$4/bin/pip\""
        );
        script(&path, &body);
        path.into_os_string()
    }

    const PIP: &str = "d=\"$(dirname \"$0\")/../lib/python3.11/site-packages/torch\"; mkdir -p \"$d/lib\"; \
                       touch \"$d/lib/libtorch_cpu.so\"; echo \"__version__ = '2.11.0+cu130'\" > \"$d/version.py\"";

    #[test]
    fn a_bare_workspace_gets_libtorch_and_a_second_call_does_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let python = fake_python(folder.path(), PIP);
        let package = own_libtorch(folder.path(), &python).unwrap();
        link(folder.path(), &package).unwrap();
        assert!(folder.path().join(LINK).join("lib/libtorch_cpu.so").exists());
        let absent = OsString::from("no-such-python");
        assert_eq!(own_libtorch(folder.path(), &absent).unwrap(), package);
    }

    #[test]
    fn a_half_made_environment_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(".venv/bin")).unwrap();
        own_libtorch(folder.path(), &fake_python(folder.path(), PIP)).unwrap();
        let torch = folder.path().join(".venv/lib/python3.11/site-packages/torch");
        fs::remove_file(torch.join("version.py")).unwrap();
        own_libtorch(folder.path(), &OsString::from("no-such-python")).unwrap();
        assert!(torch.join("version.py").exists());
    }

    #[test]
    fn no_python_no_network_and_a_full_disk_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let error = own_libtorch(folder.path(), &OsString::from("no-such-python")).unwrap_err();
        assert!(
            format!("{error:#}").starts_with("no Python `no-such-python`: install Python 3.10"),
            "{error:#}"
        );
        let cases = [
            ("ERROR: Could not find a version: Max retries exceeded", "no network"),
            ("ERROR: Could not install: [Errno 28] No space left on device", "the disk is full"),
        ];
        for (words, cause) in cases {
            let folder = tempfile::tempdir().unwrap();
            let python = fake_python(folder.path(), &format!("echo '{words}' >&2; exit 1"));
            let error = own_libtorch(folder.path(), &python).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(cause), "{error}");
        }
    }

    #[test]
    fn a_libtorch_of_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("build-version"), "\"2.9.0\"\n").unwrap();
        let error = checked(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is version 2.9.0, expected 2.11.0"), "{error}");
    }
}
