//! The computing device: chosen once by the binary, then it travels with the data.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::OnceLock;

use tch::{Cuda, Device};
use thiserror::Error;

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A GPU where there is one, else the CPU.
    Auto,
    /// The CPU; libtorch's CUDA part is not even loaded.
    Cpu,
    /// A GPU, the first unless a number is given.
    Cuda(usize),
}

/// A device that cannot be had.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DeviceError {
    /// Not a device's name.
    #[error("`{0}` is not a device; expected `auto`, `cpu`, `cuda` or `cuda:NUMBER`")]
    Name(String),
    /// No GPU with that number.
    #[error("libtorch {found}: check `nvidia-smi` and CUDA_VISIBLE_DEVICES, or use --device cpu")]
    NoGpu {
        /// What was found instead.
        found: String,
    },
}

impl FromStr for Choice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Name(text.to_owned());
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                number.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl Choice {
    /// The device, after loading libtorch's CUDA part unless the CPU was asked for.
    ///
    /// # Errors
    /// [`DeviceError::NoGpu`] when a GPU was asked for and there is none of that number.
    pub fn open(self) -> Result<Device, DeviceError> {
        if self == Self::Cpu {
            return Ok(Device::Cpu);
        }
        let loaded = load_cuda();
        let count = if loaded && Cuda::is_available() { Cuda::device_count().max(0) as usize } else { 0 };
        match self {
            Self::Cuda(number) if number < count => Ok(Device::Cuda(number)),
            Self::Cuda(_) if !loaded => {
                Err(DeviceError::NoGpu { found: "was built without CUDA".to_owned() })
            }
            Self::Cuda(number) => Err(DeviceError::NoGpu {
                found: format!("supports CUDA but sees {count} GPUs, not number {number}"),
            }),
            _ if count > 0 => Ok(Device::Cuda(0)),
            _ => Ok(Device::Cpu),
        }
    }
}

/// Loads `libtorch_cuda.so`, which the linker drops because nothing refers to it by name. It must be there before
/// the first question about CUDA: libtorch remembers the first answer.
fn load_cuda() -> bool {
    static LOADED: OnceLock<bool> = OnceLock::new();
    *LOADED.get_or_init(|| {
        #[expect(unsafe_code, reason = "opening a shared library runs its initialisers")]
        // SAFETY: libtorch_cuda belongs to the libtorch this program is linked with; its initialisers register
        // kernels and have no precondition. The handle is leaked, so nothing registered is ever unmapped.
        let library = unsafe { libloading::Library::new("libtorch_cuda.so") };
        library.map(std::mem::forget).is_ok()
    })
}

/// Facts about libtorch for a report's environment section.
pub fn facts(device: Device) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut put = |name: &str, value: String| facts.insert(name.to_owned(), value);
    put("device", format!("{device:?}"));
    put("threads", tch::get_num_threads().to_string());
    put("interop_threads", tch::get_num_interop_threads().to_string());
    put("mkl", tch::utils::has_mkl().to_string());
    put("mkldnn", tch::utils::has_mkldnn().to_string());
    put("matrix library for large f32 products", crate::nn::gemm::active().to_string());
    put("openmp", tch::utils::has_openmp().to_string());
    if device.is_cuda() {
        put("cuda_devices", Cuda::device_count().to_string());
        put("cudnn", tch::utils::version_cudnn().to_string());
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_are_read_and_others_refused() {
        assert_eq!("cuda:1".parse(), Ok(Choice::Cuda(1)));
        let error = "gpu".parse::<Choice>().unwrap_err().to_string();
        assert_eq!(error, "`gpu` is not a device; expected `auto`, `cpu`, `cuda` or `cuda:NUMBER`");
    }
}
