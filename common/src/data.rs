//! Where data sets lie on this machine, and what is known about their files.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::files::{self, FileError};

/// The manifest of all data sets that the crates read; `cargo xtask data` fetches by it.
pub const MANIFEST: &str = include_str!("../data.toml");

/// A data set on disk.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// Folder with its files.
    pub folder: PathBuf,
    /// What the manifest says of it.
    pub entry: Entry,
}

/// A data set of the manifest.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Name of its folder.
    pub name: String,
    /// What it is.
    pub title: String,
    /// Licence in short.
    pub licence: String,
    /// Crates that read it.
    pub used_by: Vec<String>,
    /// Address that file paths are appended to; absent where a conversion is needed.
    #[serde(default)]
    pub source: Option<String>,
    /// Address of an archive that `conversion` makes the files of, where there is no `source`.
    #[serde(default)]
    pub archive: Option<String>,
    /// How the archive becomes the files.
    #[serde(default)]
    pub conversion: Option<String>,
    /// What was changed against the publication.
    #[serde(default)]
    pub note: Option<String>,
    /// Its files.
    #[serde(rename = "file")]
    pub files: Vec<FileEntry>,
}

/// A file of a data set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path inside the set's folder.
    pub path: String,
    /// Path below the set's `source` where it differs.
    #[serde(default)]
    pub remote: Option<String>,
    /// Size.
    pub bytes: u64,
    /// Sha256 in hex.
    pub sha256: String,
    /// Sha256 of the unpacked content of a compressed file: it counts too, since compressors differ.
    #[serde(default)]
    pub unpacked_sha256: Option<String>,
}

/// Data that is not there, or not the published one.
#[derive(Debug, Error)]
pub enum DataError {
    /// A name that the manifest lacks.
    #[error("`{0}` is not a data set of the manifest; `cargo xtask data list` shows them")]
    Unknown(String),
    /// Files that are not there.
    #[error("data set `{name}` is not in {root}; fetch it with `cargo xtask data get {name}`, or set BENKYOKAI_DATA to its parent folder", root = root.display())]
    Missing {
        /// Name of the set.
        name: String,
        /// Data root.
        root: PathBuf,
    },
    /// A file that cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    set: Vec<Entry>,
}

/// All data sets of the manifest.
pub fn manifest() -> Vec<Entry> {
    let manifest: Manifest = toml::from_str(MANIFEST).expect("a test reads the manifest");
    manifest.set
}

/// The data root: what was typed, else what the environment names, else `data` in the workspace.
pub fn root(typed: Option<&Path>, environment: Option<&str>, workspace: &Path) -> PathBuf {
    typed
        .map(Path::to_owned)
        .or_else(|| environment.map(PathBuf::from))
        .unwrap_or_else(|| workspace.join("data"))
}

/// A data set below the root.
///
/// # Errors
/// [`DataError`] naming the command that fetches it.
pub fn locate(root: &Path, name: &str) -> Result<DataSet, DataError> {
    let entry = manifest().into_iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| DataError::Unknown(name.to_owned()))?;
    let folder = root.join(name);
    if entry.files.iter().any(|file| !folder.join(&file.path).exists()) {
        return Err(DataError::Missing { name: name.to_owned(), root: root.to_owned() });
    }
    Ok(DataSet { folder, entry })
}

/// Those of the data sets that are not below the root, with what to say of each.
///
/// # Errors
/// [`DataError`] of any other kind.
pub fn missing(root: &Path, names: &[&str]) -> Result<Vec<(String, DataError)>, DataError> {
    let mut missing = Vec::new();
    for name in names {
        match locate(root, name) {
            Err(error @ DataError::Missing { .. }) => missing.push(((*name).to_owned(), error)),
            found => drop(found?),
        }
    }
    Ok(missing)
}

/// Paths of the files of a data set, below its folder; none of an unknown one.
pub fn file_names(name: &str) -> Vec<String> {
    let entry = manifest().into_iter().find(|entry| entry.name == name);
    entry.map_or(Vec::new(), |entry| entry.files.into_iter().map(|file| file.path).collect())
}

impl DataSet {
    /// Whether the file has the manifest's hash, or its unpacked content has.
    ///
    /// # Errors
    /// [`DataError`] when it cannot be read.
    pub fn is_as_published(&self, path: &str) -> Result<bool, DataError> {
        let Some(known) = self.entry.files.iter().find(|file| file.path == path) else { return Ok(false) };
        let place = self.folder.join(path);
        if files::sha256_of(&place)? == known.sha256 {
            return Ok(true);
        }
        let Some(unpacked) = &known.unpacked_sha256 else { return Ok(false) };
        Ok(files::sha256_unpacked(&place)? == *unpacked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_that_are_not_there_are_named_and_unknown_ones_are_an_error() {
        let empty = tempfile::tempdir().unwrap();
        let missing = missing(empty.path(), &["jsquad", "xquad-en"]).unwrap();
        let names: Vec<&str> = missing.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["jsquad", "xquad-en"]);
        assert!(missing[0].1.to_string().contains("cargo xtask data get jsquad"), "{}", missing[0].1);
        assert!(super::missing(empty.path(), &["nowhere"]).is_err());
    }

    #[test]
    fn the_manifest_is_whole() {
        let sets = manifest();
        assert!(sets.iter().all(|set| !set.files.is_empty()
            && (set.source.is_some() || set.archive.is_some() || set.note.is_some())));
        assert!(sets.iter().flat_map(|set| &set.files).all(|file| file.sha256.len() == 64));
    }

    #[test]
    fn missing_data_name_the_command_that_fetches_them() {
        let error = locate(Path::new("nowhere"), "wnut17").unwrap_err().to_string();
        assert!(error.contains("is not in nowhere; fetch it with `cargo xtask data get wnut17`"), "{error}");
    }
}
