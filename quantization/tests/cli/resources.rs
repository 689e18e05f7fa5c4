//! Memory, interruption.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::names;
use quantization::safetensors::{Dtype, Writer};

/// Bytes of the big tensor.
const BIG: usize = 96 << 20;

/// What the program's own libraries take: libtorch alone is several tens of megabytes when it is loaded.
const LIBRARIES: usize = if cfg!(feature = "tensor") { 64 << 20 } else { 0 };

/// One tensor of this many bytes of F16, small numbers in a pattern.
fn write_big(folder: &Path) {
    let listed = [("big.weight".to_owned(), Dtype::F16, vec![BIG / 2 / 4096, 4096])];
    let mut writer = Writer::create(folder.join("big.safetensors"), &BTreeMap::new(), &listed).unwrap();
    let run: Vec<u8> = (0..4096_u32)
        .flat_map(|i| {
            (0x2000 + ((i * 2_654_435_761) >> 20) as u16 % 0x0800 + ((i as u16 & 1) << 15)).to_le_bytes()
        })
        .collect();
    writer.write_tensor("big.weight", &run.repeat(BIG / run.len())).unwrap();
    writer.finish().unwrap();
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quantization"));
    command.args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Most memory that the process has held so far, in bytes.
fn peak(child: &Child) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kilobytes| kilobytes << 10)
}

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_below_the_largest_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_big(at);
    let runs: [&[&str]; 3] = [
        &["quantize", "big.safetensors", "a.gguf", "--type", "Q8_0", "--threads", "2"],
        &["quantize", "big.safetensors", "b", "--method", "rtn", "--threads", "2"],
        &["dequantize", "big.safetensors", "c.safetensors", "--type", "F32", "--threads", "2"],
    ];
    for arguments in runs {
        let mut child = start(at, arguments);
        let mut most = 0;
        while child.try_wait().unwrap().is_none() {
            most = most.max(peak(&child).unwrap_or(0));
            sleep(Duration::from_millis(2));
        }
        assert!(child.wait().unwrap().success(), "{arguments:?}");
        assert!(
            most > 0 && most < BIG * 6 / 5 + LIBRARIES,
            "{arguments:?}: {most} bytes for a tensor of {BIG}"
        );
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_big(at);
    fs::write(at.join("out.gguf"), b"older").unwrap();
    let mut child =
        start(at, &["quantize", "big.safetensors", "out.gguf", "--type", "Q2_K", "--threads", "1"]);
    while names(at).len() < 3 && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(2));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(names(at), ["big.safetensors", "out.gguf"]);
    assert_eq!(fs::read(at.join("out.gguf")).unwrap(), b"older");
}
