//! The page as one file: its figures inside.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The page with every drawing as a data address. Links to numbers and full reports still lead beside it.
pub(super) fn single(page: &str, reports: &Path) -> Result<String> {
    let mut out = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(at) = rest.find("<img src=\"") {
        let begin = at + "<img src=\"".len();
        let end = begin + rest[begin..].find('"').context("an image without an end")?;
        let path = reports.join(plain(&rest[begin..end]));
        let svg = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        out += &rest[..begin];
        out += "data:image/svg+xml;base64,";
        out += &STANDARD.encode(&svg);
        rest = &rest[end..];
    }
    Ok(out + rest)
}

/// A relative address as a path.
fn plain(address: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = address.bytes();
    while let Some(byte) = rest.next() {
        let code = (byte == b'%').then(|| [rest.next(), rest.next()]);
        let digit =
            |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).unwrap_or_default() as u8;
        bytes.push(code.map_or(byte, |[high, low]| digit(high) << 4 | digit(low)));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawings_are_put_in() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a b.svg"), "foo").unwrap();
        let page = single("x<img src=\"a%20b.svg\" alt=\"\">y", folder.path()).unwrap();
        assert_eq!(page, "x<img src=\"data:image/svg+xml;base64,Zm9v\" alt=\"\">y");
        assert!(single("<img src=\"c.svg\">", folder.path()).is_err());
    }
}
