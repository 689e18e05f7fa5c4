//! How many threads share a product.

use rayon::ThreadPool;
use rayon::prelude::*;

use super::error::LlamaError;

/// Multiplications below which a second thread costs more than it saves.
const MIN_WORK: usize = 1 << 18;

/// A pool of threads of its own, or just the calling thread.
#[derive(Debug)]
pub struct Threads {
    pool: Option<ThreadPool>,
    count: usize,
}

impl Threads {
    /// `count` threads; 1 (or 0) starts none beside the calling one.
    ///
    /// # Errors
    /// [`LlamaError::Threads`] when the system refuses.
    pub fn new(count: usize) -> Result<Self, LlamaError> {
        let count = count.max(1);
        let pool =
            (count > 1).then(|| rayon::ThreadPoolBuilder::new().num_threads(count).build()).transpose();
        let pool = pool.map_err(|error| LlamaError::Threads { threads: count, error: error.into() })?;
        Ok(Self { pool, count })
    }

    /// The number of threads.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Calls `part(start, chunk)` for consecutive chunks of `y`, each a multiple of `unit` values; `start` counts units.
    pub(super) fn split<E: Send>(
        &self,
        y: &mut [f32],
        unit: usize,
        work: usize,
        part: impl Fn(usize, &mut [f32]) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let units = y.len() / unit.max(1);
        match &self.pool {
            Some(pool) if work >= MIN_WORK && units > 1 => {
                let each = units.div_ceil(self.count);
                let chunks = y.par_chunks_mut(each * unit).enumerate();
                pool.install(|| chunks.try_for_each(|(i, chunk)| part(i * each, chunk)))
            }
            _ => part(0, y),
        }
    }

    /// As [`Self::split`], with `scratch` values of its own for each of at most [`Self::count`] parts.
    pub(super) fn split_with(
        &self,
        y: &mut [f32],
        unit: usize,
        work: usize,
        scratch: (&mut [f32], usize),
        part: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
    ) {
        let units = y.len() / unit.max(1);
        match &self.pool {
            Some(pool) if work >= MIN_WORK && units > 1 => {
                let each = units.div_ceil(self.count);
                let chunks =
                    y.par_chunks_mut(each * unit).zip(scratch.0.par_chunks_mut(scratch.1)).enumerate();
                pool.install(|| chunks.for_each(|(i, (chunk, scratch))| part(i * each, chunk, scratch)));
            }
            _ => part(0, y, &mut scratch.0[..scratch.1]),
        }
    }
}
