//! Indexes of other programs.

use std::path::Path;

use common::files;
use serde_json::Value;

use super::npy::{self, Array};
use super::writer::{Foreign, store};
use super::{Codec, Index, IndexError};

/// Makes an index in `path` of the one in `foreign` that FastPlaid or NextPlaid wrote: NumPy files of the arrays of a Stanford
/// index. Codes and residuals are taken as they are; centroids are rounded to 8 bits per component. Documents get their
/// numbers as ids; texts and metadata are not taken.
///
/// Stanford's own files are PyTorch pickles, which can run programs when they are read: they are refused with the way to
/// convert them.
///
/// # Errors
/// [`IndexError::Foreign`] when a file is missing or holds something else; as [`build`](super::build) when writing fails.
pub fn import(foreign: &Path, path: &Path) -> Result<Index, IndexError> {
    if foreign.join("centroids.pt").exists() && !foreign.join("centroids.npy").exists() {
        let problem = "an index of PyTorch files, which are not read; convert each: \
            `numpy.save(name + \".npy\", torch.load(name + \".pt\").numpy())` for centroids, N.codes and N.residuals, \
            and `bucket_cutoffs.npy`, `bucket_weights.npy` from the two arrays of buckets.pt";
        return Err(refuse(foreign, problem));
    }
    let metadata = json(&foreign.join("metadata.json"))?;
    if metadata["binary"] == true {
        return Err(refuse(foreign, "an index of signs only, expected residuals; build it without `binary`"));
    }
    let settings = if metadata["config"].is_object() { &metadata["config"] } else { &metadata };
    let bits = settings["nbits"].as_u64().filter(|bits| [1, 2, 4].contains(bits));
    let bits = bits.ok_or_else(|| refuse(foreign, "`nbits` in metadata.json is not 1, 2 or 4"))? as u32;
    let array = |name: &str| npy::read(&foreign.join(name));
    let floats = |name: &str| -> Result<(Vec<f32>, Vec<usize>), IndexError> {
        let array = array(name)?;
        let values = array.floats().ok_or_else(|| refuse(&foreign.join(name), "not floats"))?;
        Ok((values, array.shape))
    };
    let (centroids, shape) = floats("centroids.npy")?;
    let [_, width] = shape[..] else {
        return Err(refuse(&foreign.join("centroids.npy"), "expected shape [centroids, width]"));
    };
    if !(width * bits as usize).is_multiple_of(8) {
        return Err(refuse(foreign, "rows of codes that do not fill bytes"));
    }
    let cells = (floats("bucket_cutoffs.npy")?.0, floats("bucket_weights.npy")?.0);
    let codec = Codec::from_centroids(width, bits, &centroids, cells.0, cells.1)?;
    let chunks =
        metadata["num_chunks"].as_u64().ok_or_else(|| refuse(foreign, "metadata.json: no `num_chunks`"))?;
    store(path, &codec, |keep| {
        if foreign.join("0.codes.npy").exists() || chunks == 0 {
            (0..chunks).try_for_each(|chunk| {
                let lengths = lengths(foreign, chunk)?;
                let name = |kind: &str| foreign.join(format!("{chunk}.{kind}.npy"));
                documents(&name("codes"), &name("residuals"), &lengths, &codec, keep)
            })
        } else {
            let lengths: Result<Vec<Vec<usize>>, _> =
                (0..chunks).map(|chunk| lengths(foreign, chunk)).collect();
            let (codes, residuals) = (foreign.join("merged_codes.npy"), foreign.join("merged_residuals.npy"));
            documents(&codes, &residuals, &lengths?.concat(), &codec, keep)
        }
    })
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
    codes_path: &Path,
    residuals_path: &Path,
    lengths: &[usize],
    codec: &Codec,
    keep: &mut dyn FnMut(Foreign<'_>) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let codes: Array = npy::read(codes_path)?;
    let codes = codes.integers().ok_or_else(|| refuse(codes_path, "not integers"))?;
    let is_code = |code: &i64| usize::try_from(*code).is_ok_and(|code| code < codec.len());
    if !codes.iter().all(is_code) {
        return Err(refuse(codes_path, "a code that is no centroid's number"));
    }
    let codes: Vec<u32> = codes.into_iter().map(|code| code as u32).collect();
    let packed = npy::read(residuals_path)?;
    let bytes = codec.row_bytes();
    let tokens: usize = lengths.iter().sum();
    let (expected, packed) = (tokens * bytes, packed.bytes().unwrap_or_default());
    // Their first component is in the highest bits, with the bits of each code in the opposite order.
    let residuals: Vec<u8> = packed.iter().map(|byte| byte.reverse_bits()).collect();
    if codes.len() < tokens || residuals.len() < expected {
        return Err(refuse(residuals_path, "fewer tokens than doclens say, or not bytes"));
    }
    let mut start = 0;
    for &length in lengths {
        let end = start + length;
        keep(Foreign { centroids: &codes[start..end], residuals: &residuals[start * bytes..end * bytes] })?;
        start = end;
    }
    Ok(())
}
