//! Indexes of other programs.

use std::path::Path;

use common::files;
use serde_json::Value;

use super::array::Array;
use super::npy;
use super::torch_file;
use super::writer::{Foreign, store};
use super::{Codec, Index, IndexError};

/// Makes an index in `path` of the one in `foreign`, of ColBERT (PyTorch files), FastPlaid or NextPlaid (NumPy files of the same
/// arrays). Codes and residuals are taken as they are; centroids are rounded to 8 bits per component. Documents get their
/// numbers as ids; texts and metadata are not taken.
///
/// PyTorch files are pickles, which can run programs when Python reads them; here only tensors are read from them, and
/// everything else is refused.
///
/// # Errors
/// [`IndexError::Foreign`] when a file is missing or holds something else; as [`build`](super::build) when writing fails.
pub fn import(foreign: &Path, path: &Path) -> Result<Index, IndexError> {
    let metadata = json(&foreign.join("metadata.json"))?;
    if metadata["binary"] == true {
        return Err(refuse(foreign, "an index of signs only, expected residuals; build it without `binary`"));
    }
    let settings = if metadata["config"].is_object() { &metadata["config"] } else { &metadata };
    let bits = settings["nbits"].as_u64().filter(|bits| [1, 2, 4].contains(bits));
    let bits = bits.ok_or_else(|| refuse(foreign, "`nbits` in metadata.json is not 1, 2 or 4"))? as u32;
    let (centroids, shape) = floats(foreign, "centroids")?;
    let [_, width] = shape[..] else {
        return Err(refuse(foreign, "expected centroids of shape [centroids, width]"));
    };
    if !(width * bits as usize).is_multiple_of(8) {
        return Err(refuse(foreign, "rows of codes that do not fill bytes"));
    }
    let cells = cells(foreign)?;
    let codec = Codec::from_centroids(width, bits, &centroids, cells.0, cells.1)?;
    let chunks =
        metadata["num_chunks"].as_u64().ok_or_else(|| refuse(foreign, "metadata.json: no `num_chunks`"))?;
    let merged = foreign.join("merged_codes.npy").exists() && !foreign.join("0.codes.npy").exists();
    store(path, &codec, |keep| {
        if merged {
            let lengths: Result<Vec<Vec<usize>>, _> =
                (0..chunks).map(|chunk| lengths(foreign, chunk)).collect();
            return documents(foreign, "merged_codes", "merged_residuals", &lengths?.concat(), &codec, keep);
        }
        (0..chunks).try_for_each(|chunk| {
            let (codes, residuals) = (format!("{chunk}.codes"), format!("{chunk}.residuals"));
            documents(foreign, &codes, &residuals, &lengths(foreign, chunk)?, &codec, keep)
        })
    })
}

/// The arrays of `name.npy`, which has one, or of `name.pt`.
fn arrays(foreign: &Path, name: &str) -> Result<Vec<Array>, IndexError> {
    let torch = foreign.join(format!("{name}.pt"));
    if torch.exists() {
        torch_file::read(&torch)
    } else {
        Ok(vec![npy::read(&foreign.join(format!("{name}.npy")))?])
    }
}

fn array(foreign: &Path, name: &str) -> Result<Array, IndexError> {
    let array = arrays(foreign, name)?.into_iter().next();
    array.ok_or_else(|| refuse(&foreign.join(name), "no array in it"))
}

/// Numbers and shape of an array of floats.
fn floats(foreign: &Path, name: &str) -> Result<(Vec<f32>, Vec<usize>), IndexError> {
    let array = array(foreign, name)?;
    Ok((array.floats().ok_or_else(|| refuse(&foreign.join(name), "not floats"))?, array.shape))
}

/// Cut-offs and values of the cells: two files of NumPy's, or both in one of PyTorch's.
fn cells(foreign: &Path) -> Result<(Vec<f32>, Vec<f32>), IndexError> {
    let path = foreign.join("buckets.pt");
    if !path.exists() {
        return Ok((floats(foreign, "bucket_cutoffs")?.0, floats(foreign, "bucket_weights")?.0));
    }
    let arrays = torch_file::read(&path)?;
    let values: Option<Vec<Vec<f32>>> = arrays.iter().map(Array::floats).collect();
    match <[Vec<f32>; 2]>::try_from(values.unwrap_or_default()) {
        Ok([cutoffs, weights]) => Ok((cutoffs, weights)),
        Err(_) => Err(refuse(&path, "expected two arrays of floats, the cut-offs and the weights")),
    }
}

fn refuse(path: &Path, problem: &str) -> IndexError {
    IndexError::Foreign { path: path.to_owned(), problem: problem.to_owned() }
}

fn json(path: &Path) -> Result<Value, IndexError> {
    serde_json::from_str(&files::read_text(path)?)
        .map_err(|error| refuse(path, &format!("not JSON: {error}")))
}

/// Tokens of each document of a chunk.
fn lengths(foreign: &Path, chunk: u64) -> Result<Vec<usize>, IndexError> {
    let path = foreign.join(format!("doclens.{chunk}.json"));
    let value = json(&path)?;
    serde_json::from_value(value).map_err(|_| refuse(&path, "expected a list of token counts"))
}

/// Gives `keep` each document of two arrays.
fn documents(
    foreign: &Path,
    codes_name: &str,
    residuals_name: &str,
    lengths: &[usize],
    codec: &Codec,
    keep: &mut dyn FnMut(Foreign<'_>) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let (codes_path, residuals_path) = (foreign.join(codes_name), foreign.join(residuals_name));
    let codes = array(foreign, codes_name)?;
    let codes = codes.integers().ok_or_else(|| refuse(&codes_path, "not integers"))?;
    let is_code = |code: &i64| usize::try_from(*code).is_ok_and(|code| code < codec.len());
    if !codes.iter().all(is_code) {
        return Err(refuse(&codes_path, "a code that is no centroid's number"));
    }
    let codes: Vec<u32> = codes.into_iter().map(|code| code as u32).collect();
    let packed = array(foreign, residuals_name)?;
    let bytes = codec.row_bytes();
    let tokens = lengths.iter().try_fold(0_usize, |sum, &length| sum.checked_add(length));
    // Their first component is in the highest bits, with the bits of each code in the opposite order.
    let residuals: Vec<u8> =
        packed.bytes().unwrap_or_default().iter().map(|byte| byte.reverse_bits()).collect();
    if tokens.is_none_or(|tokens| tokens > codes.len().min(residuals.len() / bytes)) {
        return Err(refuse(&residuals_path, "fewer tokens than doclens say, or not bytes"));
    }
    let mut start = 0;
    for &length in lengths {
        let end = start + length;
        keep(Foreign { centroids: &codes[start..end], residuals: &residuals[start * bytes..end * bytes] })?;
        start = end;
    }
    Ok(())
}
