//! Folders of labelled images: `0_real` and `1_fake`, or `real` and `fake`, at any depth.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::files::{self, FileError};
use thiserror::Error;

/// Endings of pictures.
const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// Files with labels; `true` is "generated".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labelled {
    /// Pictures, sorted by path.
    pub paths: Vec<PathBuf>,
    /// A label for each.
    pub labels: Vec<bool>,
}

/// Folders that cannot be used.
#[derive(Debug, Error)]
pub enum FolderError {
    /// Not read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Nothing in it.
    #[error("{path}: no picture below a folder `0_real`, `1_fake`, `real` or `fake` (.png, .jpg, .jpeg, .webp)", path = path.display())]
    NoLabels {
        /// The folder.
        path: PathBuf,
    },
}

/// Pictures below a folder, sorted; links are followed, but no folder is entered twice, so that a loop ends.
///
/// # Errors
/// A folder that cannot be listed.
pub fn pictures_below(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let (mut found, mut entered) = (Vec::new(), BTreeSet::new());
    enter(folder, &mut found, &mut entered)?;
    found.sort();
    Ok(found)
}

fn enter(folder: &Path, found: &mut Vec<PathBuf>, entered: &mut BTreeSet<PathBuf>) -> Result<(), FileError> {
    let own = folder.canonicalize().map_err(|error| FileError::content(folder, error.to_string()))?;
    if !entered.insert(own) {
        return Ok(());
    }
    for name in files::names_in(folder)? {
        let path = folder.join(name);
        if path.is_dir() {
            enter(&path, found, entered)?;
        } else if is_picture(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&&*ending))
}

/// Label of a picture: the nearest folder above it, below `root`, that says so.
fn label(path: &Path, root: &Path) -> Option<bool> {
    let below = path.strip_prefix(root).unwrap_or(path);
    let own = root.file_name().map(Path::new);
    let folders = below.parent().into_iter().flat_map(Path::ancestors).filter_map(Path::file_name);
    folders.chain(own.and_then(Path::file_name)).find_map(|name| match name.to_str() {
        Some("0_real" | "real") => Some(false),
        Some("1_fake" | "fake") => Some(true),
        _ => None,
    })
}

/// All labelled pictures below a folder.
///
/// # Errors
/// [`FolderError`].
pub fn labelled(folder: &Path) -> Result<Labelled, FolderError> {
    let mut all = Labelled::default();
    for path in pictures_below(folder)? {
        if let Some(label) = label(&path, folder) {
            all.paths.push(path);
            all.labels.push(label);
        }
    }
    if all.paths.is_empty() {
        return Err(FolderError::NoLabels { path: folder.to_owned() });
    }
    Ok(all)
}

/// The data sets below a folder, by name: the folder itself where it holds `0_real` or `1_fake`, or its class folders do while
/// none of its own folders is a data set of its own; else each folder in it. Layouts of ForenSynths (`progan/cat/0_real`) and
/// UniversalFakeDetect (`dalle/0_real`).
///
/// # Errors
/// [`FolderError`].
pub fn data_sets(folder: &Path) -> Result<Vec<(String, Labelled)>, FolderError> {
    let all = labelled(folder)?;
    let name_of = |path: &Path| {
        let below = path.strip_prefix(folder).unwrap_or(path);
        let parts: Vec<String> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let at = parts.iter().position(|part| ["0_real", "1_fake", "real", "fake"].contains(&part.as_str()));
        match at {
            Some(at) if at > 0 => parts[0].clone(),
            _ => {
                folder.file_name().map_or_else(|| ".".to_owned(), |name| name.to_string_lossy().into_owned())
            }
        }
    };
    let mut sets: Vec<(String, Labelled)> = Vec::new();
    for (path, label) in all.paths.into_iter().zip(all.labels) {
        let name = name_of(&path);
        let set = match sets.iter_mut().find(|(known, _)| *known == name) {
            Some((_, set)) => set,
            None => {
                sets.push((name, Labelled::default()));
                &mut sets.last_mut().expect("just pushed").1
            }
        };
        set.paths.push(path);
        set.labels.push(label);
    }
    Ok(sets)
}
