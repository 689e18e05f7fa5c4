//! SqueezeNet's weights as Keras published them, turned into the layout and the names of torchvision.
//!
//! The published file is HDF5, whose hash the manifest knows by that of what becomes of it; its numbers lie in one piece each, so that
//! their places are all that has to be read of it.

use anyhow::{Context, Result};

/// Layer; its kernel's shape out, in, height, width; bytes of the published file at which its bias and its kernel begin.
const LAYERS: [(&str, [usize; 4], [usize; 2]); 25] = [
    ("features.0", [64, 3, 3, 3], [19_096, 10_136]),
    ("features.10.expand1x1", [192, 48, 1, 1], [1_117_368, 1_078_456]),
    ("features.10.expand3x3", [192, 48, 3, 3], [1_118_136, 1_121_464]),
    ("features.10.squeeze", [48, 384, 1, 1], [345_104, 1_000_088]),
    ("features.11.expand1x1", [256, 64, 1, 1], [1_630_928, 1_563_344]),
    ("features.11.expand3x3", [256, 64, 3, 3], [1_631_952, 1_635_024]),
    ("features.11.squeeze", [64, 384, 1, 1], [658_592, 1_460_400]),
    ("features.12.expand1x1", [256, 64, 1, 1], [2_435_632, 2_368_048]),
    ("features.12.expand3x3", [256, 64, 3, 3], [2_436_656, 2_439_728]),
    ("features.12.squeeze", [64, 512, 1, 1], [658_848, 2_232_336]),
    ("features.3.expand1x1", [64, 16, 1, 1], [19_416, 34_368]),
    ("features.3.expand3x3", [64, 16, 3, 3], [19_672, 42_272]),
    ("features.3.squeeze", [16, 64, 1, 1], [19_352, 25_632]),
    ("features.4.expand1x1", [64, 16, 1, 1], [19_992, 99_400]),
    ("features.4.expand3x3", [64, 16, 3, 3], [20_248, 107_304]),
    ("features.4.squeeze", [16, 128, 1, 1], [19_928, 86_568]),
    ("features.6.expand1x1", [128, 32, 1, 1], [20_632, 173_552]),
    ("features.6.expand3x3", [128, 32, 3, 3], [343_248, 193_744]),
    ("features.6.squeeze", [32, 128, 1, 1], [20_504, 152_528]),
    ("features.7.expand1x1", [128, 32, 1, 1], [343_888, 388_440]),
    ("features.7.expand3x3", [128, 32, 3, 3], [344_400, 408_632]),
    ("features.7.squeeze", [32, 256, 1, 1], [343_760, 351_032]),
    ("features.9.expand1x1", [192, 48, 1, 1], [657_056, 618_144]),
    ("features.9.expand3x3", [192, 48, 3, 3], [657_824, 661_152]),
    ("features.9.squeeze", [48, 256, 1, 1], [344_912, 564_352]),
];

/// What the file says of itself.
const ABOUT: &str = r#"{"format":"pt","input":"BGR, 0-255, minus mean [103.939,116.779,123.68]","source":"rcmalli/keras-squeezenet@8cebee4 (from forresti/SqueezeNet v1.1 caffe)"}"#;

/// The safetensors file: biases as they are, kernels from height, width, in, out to out, in, height, width.
pub(crate) fn squeezenet(published: &[u8]) -> Result<Vec<u8>> {
    let numbers = |at: usize, n: usize| -> Result<&[[u8; 4]]> {
        let bytes = published.get(at..at + 4 * n).context("the file of weights is cut off")?;
        Ok(bytes.as_chunks::<4>().0)
    };
    let mut header = format!("{{\"__metadata__\":{ABOUT}");
    let mut data = Vec::new();
    let mut put = |name: String, shape: &[usize], numbers: Vec<[u8; 4]>| {
        let start = data.len();
        data.extend(numbers.into_iter().flatten());
        let shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        header += &format!(
            ",\"{name}\":{{\"dtype\":\"F32\",\"shape\":[{shape}],\"data_offsets\":[{start},{}]}}",
            data.len()
        );
    };
    for (layer, shape, [bias, kernel]) in LAYERS {
        let [outputs, inputs, height, width] = shape;
        put(format!("{layer}.bias"), &[outputs], numbers(bias, outputs)?.to_vec());
        let kernel = numbers(kernel, outputs * inputs * height * width)?;
        let mut turned = Vec::with_capacity(kernel.len());
        for output in 0..outputs {
            for input in 0..inputs {
                let pixels =
                    (0..height * width).map(|pixel| kernel[(pixel * inputs + input) * outputs + output]);
                turned.extend(pixels);
            }
        }
        put(format!("{layer}.weight"), &shape, turned);
    }
    header.push('}');
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.into_bytes());
    file.extend(data);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_published_weights_become_the_file_of_the_manifest() {
        assert!(squeezenet(&[0; 100]).unwrap_err().to_string().contains("cut off"));
        let name = "squeezenet1_1-features/squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5";
        let published = std::env::var("BENKYOKAI_DATA")
            .ok()
            .and_then(|root| std::fs::read(format!("{root}/{name}")).ok());
        let Some(published) = published else {
            eprintln!("skipped: no {name} below $BENKYOKAI_DATA");
            return;
        };
        let found = Sha256::digest(squeezenet(&published).unwrap());
        let hex: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "e0582da7f0d63d21f2138dac1240656c8a60d8d8f794897b77216a1afa766c6c");
    }
}
