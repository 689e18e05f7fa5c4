//! The command with its page, for tests.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use image::RgbImage;

/// The command with its page; killed when dropped.
pub(crate) struct Page {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Page {
    pub(crate) fn open(folder: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_click-mil"))
            .current_dir(folder)
            .args(["annotate", "images", "--classes", "cat,dog", "--out", "clicks.csv"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
        Self { child, address }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

/// A folder with two images of this size.
pub(crate) fn world(width: u32, height: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("images")).unwrap();
    for name in ["a.png", "b.png"] {
        RgbImage::new(width, height).save(folder.path().join("images").join(name)).unwrap();
    }
    folder
}
