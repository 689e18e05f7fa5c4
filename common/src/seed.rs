//! Random streams: every use of chance derives its own generator from the run's seed.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// Seed of one stream of a run: the first 8 bytes, little-endian, of `sha256("<seed>/<stream>/<index>")`.
///
/// ```
/// use common::seed::derive;
/// assert_eq!(derive(1, "shuffle", 0), derive(1, "shuffle", 0));
/// assert_ne!(derive(1, "shuffle", 0), derive(1, "shuffle", 1));
/// ```
pub fn derive(seed: u64, stream: &str, index: u64) -> u64 {
    let digest = Sha256::digest(format!("{seed}/{stream}/{index}"));
    let (first, _) = digest.split_first_chunk::<8>().expect("a sha256 digest has 32 bytes");
    u64::from_le_bytes(*first)
}

/// Generator of one stream of a run. ChaCha8 keeps its values across releases and machines.
pub fn rng(seed: u64, stream: &str, index: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(derive(seed, stream, index))
}
