//! Memory that a program gets back from the system again and again.

/// Keeps freed memory in the process instead of giving it back to the system. libtorch frees and allocates
/// the same large blocks in every step of a training; giving each back costs clearing all its pages again, a
/// quarter of the time of a small encoder. Call it once at the start of a program.
///
/// Does something with glibc only; elsewhere the memory is managed as it was.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// `malloc.h` of glibc.
        const TRIM_THRESHOLD: i32 = -1;
        const TOP_PAD: i32 = -2;
        const MMAP_THRESHOLD: i32 = -3;
        /// The largest value that a C `int` holds, in whole pages; blocks above it are given back.
        const LARGE: i32 = i32::MAX & !0xfff;
        const PAD: i32 = 64 << 20;
        #[expect(unsafe_code, reason = "glibc's settings are C functions")]
        // SAFETY: `mallopt` is part of glibc, which this target is linked with, takes two C integers and only
        // sets variables of the allocator under its own lock; a value that it does not take it refuses by
        // returning 0.
        unsafe {
            unsafe extern "C" {
                fn mallopt(parameter: i32, value: i32) -> i32;
            }
            mallopt(MMAP_THRESHOLD, LARGE);
            mallopt(TRIM_THRESHOLD, LARGE);
            mallopt(TOP_PAD, PAD);
        }
    }
}
