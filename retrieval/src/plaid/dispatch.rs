//! Plain loops, compiled once for every instruction set.

/// Calls the `#[inline(always)]` function `$body` of this scope with the instructions of `$tier`.
macro_rules! dispatch {
    ($tier:expr, $body:ident($($name:ident: $kind:ty),*) $(-> $result:ty)?) => {{
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($name: $kind),*) $(-> $result)? {
                $body($($name),*)
            }
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
            fn avx512($($name: $kind),*) $(-> $result)? {
                $body($($name),*)
            }
            match $tier {
                $crate::maxsim::Tier::Portable => $body($($name),*),
                #[expect(unsafe_code, reason = "calls functions that need processor features")]
                // SAFETY: tiers beyond the processor's are refused where a search is made.
                $crate::maxsim::Tier::Avx2 => unsafe { avx2($($name),*) },
                #[expect(unsafe_code, reason = "calls functions that need processor features")]
                // SAFETY: as above.
                _ => unsafe { avx512($($name),*) },
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = $tier;
            $body($($name),*)
        }
    }};
}

pub(super) use dispatch;
