//! GPTQ layers seen as matrices.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use super::{Files, Kind};
use crate::ggml::GgmlType;
use crate::gptq_layout::{self, Convention, Packed};
use crate::model_file::{Entry, ModelFileError};

impl Files {
    pub(super) fn packed_entry(&self, prefix: &str) -> Result<(Entry, Kind), ModelFileError> {
        let part = |name: &str| self.sharded.tensor(&format!("{prefix}.{name}")).map(|(_, tensor)| tensor);
        let wrong = |problem: &str| ModelFileError::Tensor {
            path: self.path.clone(),
            name: format!("{prefix}.qweight"),
            problem: problem.to_owned(),
        };
        let qweight = part("qweight").map(|tensor| tensor.shape.as_slice());
        let Some(&[rows, outputs]) = qweight else {
            return Err(wrong("has not two dimensions; this is not the GPTQ layout"));
        };
        let stated = self.quantize_config.as_ref().map(|config| config.bits);
        let counted = part("g_idx")
            .map(|tensor| tensor.elements())
            .filter(|inputs| *inputs > 0 && (rows * 32).is_multiple_of(*inputs));
        let bits = counted.map(|inputs| (rows * 32 / inputs) as u32).or(stated);
        let bits = bits.filter(|bits| [2, 3, 4, 8].contains(bits)).ok_or_else(|| {
            wrong("the bits of its codes are not known; put the quantize_config.json of the model beside it")
        })?;
        let parts = ["qweight", "qzeros", "scales", "g_idx"];
        let bytes = parts.into_iter().filter_map(part).map(|tensor| tensor.bytes()).sum();
        let entry = Entry {
            name: format!("{prefix}.weight"),
            gguf_name: None,
            dims: vec![rows * 32 / bits as usize, outputs],
            kind: GgmlType::F32,
            stored: format!("GPTQ-{bits}"),
            bytes,
            heads: None,
        };
        Ok((entry, Kind::Packed { prefix: prefix.to_owned(), bits }))
    }

    pub(super) fn read_packed(&self, prefix: &str, bits: u32) -> Result<Packed, ModelFileError> {
        let name = format!("{prefix}.qweight");
        let (file, _) = self.sharded.tensor(&name).ok_or_else(|| {
            ModelFileError::content(&self.path, format!("tensor `{name}` vanished from the index"))
        })?;
        Packed::read(file, prefix, bits)
            .map_err(|problem| ModelFileError::layout(&self.path, prefix, problem))
    }

    pub(super) fn packed(
        &self,
        tensor: usize,
        prefix: &str,
        bits: u32,
    ) -> Result<Arc<Packed>, ModelFileError> {
        let mut kept = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, packed)) = kept.as_ref().filter(|(at, _)| *at == tensor) {
            return Ok(packed.clone());
        }
        *kept = None;
        let packed = Arc::new(self.read_packed(prefix, bits)?);
        *kept = Some((tensor, packed.clone()));
        Ok(packed)
    }

    pub(super) fn convention(&self) -> Result<Convention, ModelFileError> {
        let stated = self.quantize_config.as_ref().and_then(|config| config.checkpoint_format.as_deref());
        match stated {
            None | Some("gptq") => Ok(Convention::V1), // a missing format is v1 by custom
            Some("gptq_v2") => Ok(Convention::V2),
            Some(other) => Err(ModelFileError::content(
                &self.path,
                format!(
                    "its GPTQ layers are in the format `{other}`, expected `gptq` or `gptq_v2`; convert it with GPTQModel"
                ),
            )),
        }
    }

    /// Rows `[outputs]` of a packed layer as f32.
    pub(super) fn unpack_rows(
        &self,
        packed: &Packed,
        rows: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<(), ModelFileError> {
        let (bits, outputs, convention) = (packed.bits, packed.outputs, self.convention()?);
        let (words, zero_words) = (packed.inputs * bits as usize / 32, outputs * bits as usize / 32);
        let words_of_zeros: Vec<u32> = packed.qzeros.iter().map(|word| word.cast_unsigned()).collect();
        let zeros: Vec<Vec<u32>> = words_of_zeros
            .chunks_exact(zero_words)
            .map(|row| gptq_layout::unpack(row, bits, outputs))
            .collect();
        for output in rows {
            let column: Vec<u32> =
                (0..words).map(|row| packed.qweight[row * outputs + output].cast_unsigned()).collect();
            let codes = gptq_layout::unpack(&column, bits, packed.inputs);
            for (code, &group) in codes.into_iter().zip(&packed.g_idx) {
                let group = group as usize;
                let scale = crate::float::f16_to_f32(packed.scales[group * outputs + output]);
                let zero = convention.zero(zeros[group][output], bits);
                let weight = scale * (code.cast_signed() - zero.cast_signed()) as f32;
                out.extend(weight.to_le_bytes());
            }
        }
        Ok(())
    }
}
