//! File types (`llama_ftype`): number, name, default tensor type.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::ggml::GgmlType;

/// A file type that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MixtureError {
    /// An unknown name.
    #[error("`{0}` is not a file type; expected one of {list}", list = FileType::names())]
    Unknown(String),
    /// A type whose blocks this crate does not write.
    #[error("file type {0} needs blocks that this program does not write; take one of similar size, such as {instead}", instead = .0.similar())]
    NotWritten(FileType),
}

macro_rules! file_types {
    ($($name:ident = $id:literal, $default:expr;)*) => {
        /// A mixture of tensor types under one name, as `general.file_type` and llama.cpp's tools have it.
        #[expect(non_camel_case_types, reason = "the names under which every tool of the field knows them")]
        #[expect(missing_docs, reason = "the name says all: llama.cpp's file type of that name")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FileType {
            $($name,)*
        }

        const TABLE: &[(FileType, &str, u32, Option<GgmlType>)] = {
            use GgmlType::*;
            &[$((FileType::$name, stringify!($name), $id, $default),)*]
        };
    };
}

file_types! {
    F32 = 0, Some(F32);
    F16 = 1, Some(F16);
    Q4_0 = 2, Some(Q4_0);
    Q4_1 = 3, Some(Q4_1);
    Q8_0 = 7, Some(Q8_0);
    Q5_0 = 8, Some(Q5_0);
    Q5_1 = 9, Some(Q5_1);
    Q2_K = 10, Some(Q2_K);
    Q3_K_S = 11, Some(Q3_K);
    Q3_K_M = 12, Some(Q3_K);
    Q3_K_L = 13, Some(Q3_K);
    Q4_K_S = 14, Some(Q4_K);
    Q4_K_M = 15, Some(Q4_K);
    Q5_K_S = 16, Some(Q5_K);
    Q5_K_M = 17, Some(Q5_K);
    Q6_K = 18, Some(Q6_K);
    IQ2_XXS = 19, None;
    IQ2_XS = 20, None;
    Q2_K_S = 21, Some(Q2_K);
    IQ3_XS = 22, None;
    IQ3_XXS = 23, None;
    IQ1_S = 24, None;
    IQ4_NL = 25, Some(IQ4_NL);
    IQ3_S = 26, None;
    IQ3_M = 27, None;
    IQ2_S = 28, None;
    IQ2_M = 29, None;
    IQ4_XS = 30, Some(IQ4_XS);
    IQ1_M = 31, None;
    BF16 = 32, Some(BF16);
    TQ1_0 = 36, Some(TQ1_0);
    TQ2_0 = 37, Some(TQ2_0);
    MXFP4_MOE = 38, Some(MXFP4);
    NVFP4 = 39, Some(NVFP4);
    Q1_0 = 40, Some(Q1_0);
    Q2_0 = 41, Some(Q2_0);
}

impl FileType {
    /// Every file type, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// Number in `general.file_type`.
    pub fn id(self) -> u32 {
        self.row().2
    }

    /// The file type of this number.
    pub fn from_id(id: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.2 == id).map(|row| row.0)
    }

    /// Name as llama.cpp's quantizer takes it.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Type of the tensors that are no exception.
    ///
    /// # Errors
    /// [`MixtureError::NotWritten`] for the types below IQ4, which need blocks that this crate does not write.
    pub fn default_type(self) -> Result<GgmlType, MixtureError> {
        self.row().3.ok_or(MixtureError::NotWritten(self))
    }

    fn row(self) -> &'static (Self, &'static str, u32, Option<GgmlType>) {
        &TABLE[self as usize]
    }

    fn names() -> String {
        TABLE.iter().map(|row| row.1).collect::<Vec<_>>().join(", ")
    }

    fn similar(self) -> Self {
        if self.name().starts_with("IQ3") { Self::Q3_K_S } else { Self::Q2_K }
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FileType {
    type Err = MixtureError;

    /// Names in any case; `Q3_K`, `Q4_K` and `Q5_K` mean the medium mixture, as in llama.cpp.
    fn from_str(text: &str) -> Result<Self, MixtureError> {
        let upper = text.to_ascii_uppercase();
        let full = match upper.as_str() {
            "Q3_K" => "Q3_K_M",
            "Q4_K" => "Q4_K_M",
            "Q5_K" => "Q5_K_M",
            "MXFP4" => "MXFP4_MOE",
            other => other,
        };
        let row = TABLE.iter().find(|row| row.1 == full);
        row.map(|row| row.0).ok_or_else(|| MixtureError::Unknown(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_type_is_found_by_name_and_number() {
        for file_type in FileType::all() {
            assert_eq!(FileType::from_id(file_type.id()), Some(file_type));
            assert_eq!(file_type.name().to_lowercase().parse(), Ok(file_type));
        }
        assert_eq!("q4_k".parse(), Ok(FileType::Q4_K_M));
        assert_eq!(FileType::from_id(4), None);
        let error = "Q7".parse::<FileType>().unwrap_err().to_string();
        assert!(error.starts_with("`Q7` is not a file type; expected one of F32, F16, Q4_0"), "{error}");
        let error = FileType::IQ3_M.default_type().unwrap_err().to_string();
        assert!(error.starts_with("file type IQ3_M needs blocks that this program does not write; take one of similar size, such as Q3_K_S"), "{error}");
    }
}
