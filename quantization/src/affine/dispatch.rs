//! One body, compiled for the baseline, AVX2 and AVX-512, chosen at run time.
//!
//! The bodies are plain loops that the compiler vectorises. No width fuses a multiplication with an addition, so every
//! width gives the same bits.

/// Defines a function whose body is compiled three times; the best that the processor has is called.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident$(<$(const $constant:ident: $kind:ty),+>)?($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[expect(unsafe_code, reason = "calls of functions compiled for detected processor features")]
        #[allow(clippy::too_many_arguments, reason = "kernels take their slices one by one")]
        $vis fn $name$(<$(const $constant: $kind),+>)?($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body$(<$(const $constant: $kind),+>)?($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512$(<$(const $constant: $kind),+>)?($($arg: $ty),*) $(-> $ret)? {
                    body$(::<$($constant),+>)?($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2$(<$(const $constant: $kind),+>)?($($arg: $ty),*) $(-> $ret)? {
                    body$(::<$($constant),+>)?($($arg),*)
                }
                let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
                if wide && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl") {
                    // SAFETY: the four features that the function is compiled for were detected.
                    return unsafe { avx512$(::<$($constant),+>)?($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the feature that the function is compiled for was detected.
                    return unsafe { avx2$(::<$($constant),+>)?($($arg),*) };
                }
            }
            body$(::<$($constant),+>)?($($arg),*)
        }
    };
}

pub(crate) use multiversion;
