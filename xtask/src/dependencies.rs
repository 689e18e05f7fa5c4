//! `dependencies`: licences of everything that may be linked, and what the RustSec database knows about it, by the rules of
//! `deny.toml`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use semver::{Version, VersionReq};
use serde::Deserialize;
use spdx::{Expression, LicenseReq, Licensee, ParseMode};

/// Options of `dependencies`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Also look up advisories in this clone of RustSec's advisory-db
    #[arg(long, value_name = "DIR")]
    advisories: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Rules {
    licenses: Licences,
    advisories: AdvisoryRules,
}

#[derive(Debug, Deserialize)]
struct Licences {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct AdvisoryRules {
    unmaintained: Unmaintained,
    ignore: Vec<Ignored>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unmaintained {
    All,
    Workspace,
    None,
}

#[derive(Debug, Deserialize)]
struct Ignored {
    id: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: Version,
    license: Option<String>,
    /// Absent for the workspace's own.
    source: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
}

/// The head of a file of the database.
#[derive(Debug, Deserialize)]
struct Advisory {
    advisory: About,
    #[serde(default)]
    versions: Versions,
}

#[derive(Debug, Deserialize)]
struct About {
    id: String,
    informational: Option<String>,
    withdrawn: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Versions {
    patched: Vec<String>,
    unaffected: Vec<String>,
}

pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let packages = packages(root)?;
    let rules = rules(root)?;
    let mut findings = licences(&packages, &rules.licenses)?;
    let foreign = packages.iter().filter(|package| package.source.is_some()).count();
    eprintln!("{foreign} packages by licence: {} findings", findings.len());
    if let Some(database) = &arguments.advisories {
        let (new, notes) = advisories(&packages, &rules.advisories, database)?;
        notes.iter().for_each(|note| eprintln!("note: {note}"));
        eprintln!("{foreign} packages by advisory: {} findings, {} notes", new.len(), notes.len());
        findings.extend(new);
    }
    if !findings.is_empty() {
        bail!("{} findings (rules: deny.toml):\n{}", findings.len(), findings.join("\n"));
    }
    Ok(())
}

/// The step of `test`, which reads nothing but what cargo has: licences.
pub(crate) fn check(root: &Path) -> Result<()> {
    run(root, &Arguments { advisories: None })
}

fn packages(root: &Path) -> Result<Vec<Package>> {
    let arguments = ["metadata", "--format-version", "1", "--locked", "--all-features"];
    let output =
        Command::new("cargo").args(arguments).current_dir(root).output().context("starting cargo")?;
    if !output.status.success() {
        bail!("`cargo metadata --locked` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice::<Metadata>(&output.stdout).context("the output of `cargo metadata`")?.packages)
}

fn rules(root: &Path) -> Result<Rules> {
    let path = root.join("deny.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}

/// Packages whose licence is missing, unreadable or not allowed.
fn licences(packages: &[Package], rules: &Licences) -> Result<Vec<String>> {
    let parsed = |names: &[String]| -> Result<Vec<Licensee>> {
        names
            .iter()
            .map(|name| Licensee::parse(name).with_context(|| format!("deny.toml: `{name}`")))
            .collect()
    };
    let allowed = parsed(&rules.allow)?;
    let mut findings = Vec::new();
    for package in packages.iter().filter(|package| package.source.is_some()) {
        let exception = rules.exceptions.iter().find(|exception| exception.name == package.name);
        let also = parsed(exception.map_or(&[][..], |exception| &exception.allow))?;
        let holds = |asked: &LicenseReq| allowed.iter().chain(&also).any(|licence| licence.satisfies(asked));
        let Package { name, version, license, .. } = package;
        match license.as_deref().map(|text| (text, Expression::parse_mode(text, ParseMode::LAX))) {
            None => findings.push(format!("{name} {version} declares no licence")),
            Some((text, Err(error))) => {
                findings.push(format!("{name} {version}: `{text}` is no SPDX expression: {}", error.reason));
            }
            Some((text, Ok(expression))) if !expression.evaluate(holds) => {
                findings.push(format!("{name} {version} is under `{text}`, which deny.toml does not allow"));
            }
            Some(_) => {}
        }
    }
    Ok(findings)
}

/// Advisories that count, and those that are only to be known: ignored ones with the reason, crates without a maintainer.
fn advisories(
    packages: &[Package],
    rules: &AdvisoryRules,
    database: &Path,
) -> Result<(Vec<String>, Vec<String>)> {
    let folder = database.join("crates");
    if !folder.is_dir() {
        bail!(
            "{} is no clone of RustSec's advisory-db: it has no folder `crates`; clone it with git and name the clone",
            database.display()
        );
    }
    let own = packages.iter().filter(|package| package.source.is_none());
    let direct: BTreeSet<&str> = own
        .flat_map(|package| package.dependencies.iter().map(|dependency| dependency.name.as_str()))
        .collect();
    let (mut findings, mut notes) = (Vec::new(), Vec::new());
    for package in packages.iter().filter(|package| package.source.is_some()) {
        for path in files(&folder.join(&package.name))? {
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let advisory = head(&text).with_context(|| path.display().to_string())?;
            if !affects(&advisory, &package.version).with_context(|| path.display().to_string())? {
                continue;
            }
            let About { id, informational, .. } = &advisory.advisory;
            let kind = informational.as_deref().unwrap_or("vulnerability");
            let line = format!("{id}: {} {}: {kind}", package.name, package.version);
            let orphan = kind == "unmaintained"
                && match rules.unmaintained {
                    Unmaintained::All => false,
                    Unmaintained::Workspace => !direct.contains(package.name.as_str()),
                    Unmaintained::None => true,
                };
            match rules.ignore.iter().find(|ignored| ignored.id == *id) {
                Some(ignored) => notes.push(format!("{line}, ignored: {}", ignored.reason)),
                None if orphan || kind == "notice" => notes.push(line),
                None => findings.push(line),
            }
        }
    }
    Ok((findings, notes))
}

/// Files of a crate in the database, none for most.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    Ok(paths)
}

/// The TOML block that a file of the database begins with.
fn head(text: &str) -> Result<Advisory> {
    let block = text.trim_start().strip_prefix("```toml").and_then(|rest| rest.split_once("\n```"));
    let (block, _) = block.context("no block of TOML at its beginning")?;
    toml::from_str(block).context("its head")
}

/// Whether a version is neither patched nor unaffected and the advisory stands.
fn affects(advisory: &Advisory, version: &Version) -> Result<bool> {
    let any = |ranges: &[String]| -> Result<bool> {
        for range in ranges {
            let parsed = VersionReq::parse(range).with_context(|| format!("range `{range}`"))?;
            if parsed.matches(version) {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let Versions { patched, unaffected } = &advisory.versions;
    Ok(advisory.advisory.withdrawn.is_none() && !any(patched)? && !any(unaffected)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, licence: Option<&str>) -> Package {
        Package {
            name: name.into(),
            version: Version::parse(version).unwrap(),
            license: licence.map(str::to_owned),
            source: Some("registry".into()),
            dependencies: Vec::new(),
        }
    }

    fn own(dependency: &str) -> Package {
        let dependencies = vec![Dependency { name: dependency.into() }];
        Package { source: None, dependencies, ..package("own", "0.1.0", None) }
    }

    #[test]
    fn licences_are_expressions() {
        let exception = Exception { name: "font".into(), allow: vec!["OFL-1.1".into()] };
        let rules = Licences { allow: vec!["MIT".into(), "Zlib".into()], exceptions: vec![exception] };
        let judged = |name: &str, licence| licences(&[package(name, "1.0.0", licence)], &rules).unwrap();
        assert!(judged("a", Some("MIT OR Apache-2.0")).is_empty());
        assert!(judged("a", Some("MIT/Apache-2.0")).is_empty(), "the old way to write OR");
        assert!(judged("a", Some("MIT AND Zlib")).is_empty());
        assert!(judged("font", Some("MIT AND OFL-1.1")).is_empty());
        assert_eq!(
            judged("a", Some("MIT AND OFL-1.1")),
            ["a 1.0.0 is under `MIT AND OFL-1.1`, which deny.toml does not allow"]
        );
        assert_eq!(judged("a", Some("GPL-3.0")).len(), 1);
        assert!(judged("a", Some("no licence"))[0].contains("is no SPDX expression"));
        assert_eq!(judged("a", None), ["a 1.0.0 declares no licence"]);
    }

    #[test]
    fn advisories_count_for_affected_versions() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, file: &str, rest: &str, versions: &str| {
            let folder = folder.path().join("crates").join(name);
            fs::create_dir_all(&folder).unwrap();
            let id = file.trim_end_matches(".md");
            let text = format!(
                "```toml\n[advisory]\nid = \"{id}\"\npackage = \"{name}\"\n{rest}\n\n[versions]\n{versions}\n```\n\n# Title\n"
            );
            fs::write(folder.join(file), text).unwrap();
        };
        write("weak", "V-1.md", "", "patched = [\"^1.2.3\", \">= 2.0, < 3.0\"]\nunaffected = [\"< 1.0\"]");
        write("weak", "V-2.md", "withdrawn = \"2020-01-01\"", "patched = []");
        write("orphan", "U-1.md", "informational = \"unmaintained\"", "patched = []");
        let rules = |unmaintained, ignored: &[&str]| AdvisoryRules {
            unmaintained,
            ignore: ignored.iter().map(|id| Ignored { id: (*id).into(), reason: "known".into() }).collect(),
        };
        let workspace = rules(Unmaintained::Workspace, &[]);
        let judged =
            |packages: &[Package], rules: &AdvisoryRules| advisories(packages, rules, folder.path()).unwrap();
        for (version, affected) in
            [("0.9.0", false), ("1.0.0", true), ("1.2.3", false), ("2.5.0", false), ("3.0.0", true)]
        {
            let (findings, notes) = judged(&[package("weak", version, None)], &workspace);
            assert_eq!((findings.len(), notes.len()), (usize::from(affected), 0), "{version}");
        }
        let weak = [package("weak", "1.0.0", None)];
        let (findings, notes) = judged(&weak, &rules(Unmaintained::None, &["V-1"]));
        assert_eq!(
            (findings.len(), notes.as_slice()),
            (0, &["V-1: weak 1.0.0: vulnerability, ignored: known".to_owned()][..])
        );
        let far = [own("other"), package("orphan", "1.0.0", None)];
        let near = [own("orphan"), package("orphan", "1.0.0", None)];
        assert_eq!(judged(&far, &workspace).1, ["U-1: orphan 1.0.0: unmaintained"]);
        assert_eq!(judged(&near, &workspace).0, ["U-1: orphan 1.0.0: unmaintained"]);
        assert_eq!(judged(&far, &rules(Unmaintained::All, &[])).0.len(), 1);
        assert_eq!(judged(&near, &rules(Unmaintained::None, &[])).0.len(), 0);
        let elsewhere = advisories(&weak, &workspace, &folder.path().join("crates")).unwrap_err();
        assert!(elsewhere.to_string().contains("is no clone of RustSec's advisory-db"), "{elsewhere}");
    }
}
