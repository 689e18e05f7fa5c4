//! `data`: the manifest of public data sets, downloads with resume, hashes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::convert;

const MANIFEST: &str = include_str!("../../common/data.toml");
/// Tries of a download that breaks off.
const TRIES: usize = 4;

/// Options of `data`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Names, licences, sizes, and what is here
    List,
    /// Fetch data sets
    Get {
        /// Names of the manifest
        #[arg(required = true)]
        names: Vec<String>,
        /// Folder or address with `NAME/PATH` for every file
        #[arg(long)]
        mirror: Option<String>,
    },
    /// Check the hashes of what is here
    Verify,
}

#[derive(Deserialize)]
struct Manifest {
    set: Vec<Set>,
}

#[derive(Deserialize)]
struct Set {
    name: String,
    title: String,
    licence: String,
    used_by: Vec<String>,
    source: Option<String>,
    archive: Option<String>,
    conversion: Option<String>,
    note: Option<String>,
    file: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    remote: Option<String>,
    bytes: u64,
    sha256: String,
    unpacked_sha256: Option<String>,
}

impl Entry {
    /// Whether the file has the manifest's hash, or its unpacked content has.
    fn fits(&self, path: &Path) -> Result<bool> {
        if sha256(path)? == self.sha256 {
            return Ok(true);
        }
        let Some(unpacked) = &self.unpacked_sha256 else { return Ok(false) };
        let mut digest = Sha256::new();
        let unpacking = io::copy(&mut MultiGzDecoder::new(File::open(path)?), &mut digest);
        Ok(unpacking.is_ok() && hex(&digest.finalize()) == *unpacked)
    }
}

pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let data = std::env::var_os("BENKYOKAI_DATA").map_or_else(|| root.join("data"), PathBuf::from);
    let manifest: Manifest = toml::from_str(MANIFEST)?;
    match &arguments.verb {
        Verb::List => list(&manifest, &data),
        Verb::Get { names, mirror } => names.iter().try_for_each(|name| {
            let set = manifest.set.iter().find(|set| set.name == *name);
            get(
                set.with_context(|| format!("`{name}` is not in the manifest; see `cargo xtask data list`"))?,
                &data,
                mirror.as_deref(),
            )
        }),
        Verb::Verify => verify(&manifest, &data),
    }
}

fn list(manifest: &Manifest, data: &Path) -> Result<()> {
    for set in &manifest.set {
        let bytes: u64 = set.file.iter().map(|file| file.bytes).sum();
        let here = set.file.iter().filter(|file| data.join(&set.name).join(&file.path).exists()).count();
        let state = if here == set.file.len() {
            "here".to_owned()
        } else {
            format!("{here} of {} files here", set.file.len())
        };
        println!(
            "{:26}{:>7.1} MB  {:14}{}  ({}; {state})",
            set.name,
            bytes as f64 / 1e6,
            set.licence,
            set.title,
            set.used_by.join(", ")
        );
    }
    Ok(())
}

fn verify(manifest: &Manifest, data: &Path) -> Result<()> {
    let mut wrong = Vec::new();
    for set in &manifest.set {
        for file in &set.file {
            let path = data.join(&set.name).join(&file.path);
            if path.exists() && !file.fits(&path)? {
                wrong.push(format!(
                    "{}: not the published file; remove it and run `cargo xtask data get {}`",
                    path.display(),
                    set.name
                ));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    println!("all data sets here are the published ones");
    Ok(())
}

fn get(set: &Set, data: &Path, mirror: Option<&str>) -> Result<()> {
    eprintln!("{}: {}. Licence: {}", set.name, set.title, set.licence);
    let source = mirror
        .map(|mirror| format!("{}/{}/", mirror.trim_end_matches('/'), set.name))
        .or_else(|| set.source.clone());
    let folder = data.join(&set.name);
    for file in &set.file {
        let target = folder.join(&file.path);
        if target.exists() && file.fits(&target)? {
            continue;
        }
        let Some(source) = &source else {
            from_archive(set, &folder)?;
            break;
        };
        let remote = if mirror.is_some() { &file.path } else { file.remote.as_ref().unwrap_or(&file.path) };
        fs::create_dir_all(target.parent().unwrap_or(&folder))
            .with_context(|| format!("making {}", folder.display()))?;
        fetch(&format!("{source}{remote}"), &target, file)?;
    }
    println!("{}", folder.display());
    Ok(())
}

/// Fetches a set's archive, converts it, and puts those files into the folder that are the manifest's.
fn from_archive(set: &Set, folder: &Path) -> Result<()> {
    let (Some(archive), Some(conversion)) = (&set.archive, &set.conversion) else {
        bail!("{}: {}", set.name, set.note.as_deref().unwrap_or("no public address; use --mirror"));
    };
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let packed = folder.join("archive.part");
    let bar = ProgressBar::new_spinner();
    bar.set_style(
        ProgressStyle::with_template("{prefix} {bytes}").unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.set_prefix(set.name.clone());
    obtain(archive, &packed, &bar)?;
    bar.finish_and_clear();
    let files = convert::convert(conversion, &packed)?;
    for entry in &set.file {
        let content = files.get(&entry.path).with_context(|| format!("{archive}: no {}", entry.path))?;
        let part = folder.join(format!("{}.part", entry.path));
        fs::create_dir_all(part.parent().unwrap_or(folder))?;
        fs::write(&part, content)
            .with_context(|| format!("writing {}: is the disk full?", part.display()))?;
        if !entry.fits(&part)? {
            fs::remove_file(&part)?;
            fs::remove_file(&packed)?;
            bail!(
                "{archive}: {} has another hash than expected after conversion; it was refused",
                entry.path
            );
        }
        fs::rename(&part, folder.join(&entry.path))?;
    }
    Ok(fs::remove_file(packed)?)
}

/// Fetches one file under the name `….part`, checks its hash, and only then gives it its name.
fn fetch(source: &str, target: &Path, file: &Entry) -> Result<()> {
    let mut part = target.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let bar = ProgressBar::new(file.bytes);
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {bytes}/{total_bytes} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(file.path.clone());
    obtain(source, &part, &bar)?;
    bar.finish_and_clear();
    let found = sha256(&part)?;
    if file.unpacked_sha256.as_ref() == Some(&found) && target.extension().is_some_and(|end| end == "gz") {
        compress(&part)?; // published unpacked, kept packed
    } else if found != file.sha256 {
        fs::remove_file(&part)?;
        bail!(
            "{source}: sha256 {found}, expected {}; the file was refused: the source has changed, or the copy is damaged",
            file.sha256
        );
    }
    fs::rename(&part, target).with_context(|| format!("naming {}", target.display()))
}

/// Packs a file in place with gzip.
fn compress(path: &Path) -> Result<()> {
    let packed = path.with_extension("packed");
    let mut encoder = GzEncoder::new(File::create(&packed)?, Compression::best());
    io::copy(&mut File::open(path)?, &mut encoder)
        .and_then(|_| encoder.finish()?.sync_all())
        .with_context(|| format!("packing {}: is the disk full?", path.display()))?;
    Ok(fs::rename(packed, path)?)
}

/// Brings a file from an address or a path.
fn obtain(source: &str, part: &Path, bar: &ProgressBar) -> Result<()> {
    if source.starts_with("http://") || source.starts_with("https://") {
        return download(source, part, bar);
    }
    copy(&mut File::open(source).with_context(|| format!("opening {source}"))?, part, false, bar)
}

fn download(address: &str, part: &Path, bar: &ProgressBar) -> Result<()> {
    let agent = ureq::Agent::new_with_config(
        ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .build(),
    );
    let mut broken = None;
    for _ in 0..TRIES {
        let have = fs::metadata(part).map_or(0, |data| data.len());
        let request = agent.get(address).header("Range", format!("bytes={have}-"));
        let mut response = match request.call() {
            Ok(response) => response,
            Err(error) => {
                broken = Some(
                    anyhow::Error::new(error)
                        .context(format!("{address}: no answer; check the network or use --mirror")),
                );
                continue;
            }
        };
        let appended = match response.status().as_u16() {
            206 => true,
            200 => false,
            416 => return Ok(()), // nothing is left of the range: the part is whole
            status => bail!("{address}: HTTP status {status}; the address has moved, or use --mirror"),
        };
        bar.set_position(if appended { have } else { 0 });
        match copy(&mut response.body_mut().as_reader(), part, appended, bar) {
            Ok(()) => return Ok(()),
            Err(error)
                if error
                    .downcast_ref::<io::Error>()
                    .is_some_and(|e| e.kind() == io::ErrorKind::StorageFull) =>
            {
                return Err(error);
            }
            Err(error) => broken = Some(error.context(format!("{address}: broke off; run again to resume"))),
        }
    }
    Err(broken.unwrap_or_else(|| anyhow::anyhow!("{address}: could not be fetched")))
}

fn copy(from: &mut impl Read, part: &Path, append: bool, bar: &ProgressBar) -> Result<()> {
    let mut to = OpenOptions::new().create(true).write(true).append(append).truncate(!append).open(part)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(to.sync_all()?);
        }
        to.write_all(&buffer[..n])
            .with_context(|| format!("writing {}: is the disk full?", part.display()))?;
        bar.inc(n as u64);
    }
}

fn sha256(path: &Path) -> Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut File::open(path).with_context(|| format!("opening {}", path.display()))?, &mut digest)?;
    Ok(hex(&digest.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const BODY: &[u8] = b"0123456789abcdefghij";

    fn set(source: Option<String>, sha256: &str) -> Set {
        let file = Entry {
            path: "a.txt".into(),
            remote: None,
            bytes: BODY.len() as u64,
            sha256: sha256.into(),
            unpacked_sha256: None,
        };
        Set {
            name: "toy".into(),
            title: "Toy".into(),
            licence: "CC0".into(),
            used_by: vec![],
            source,
            archive: None,
            conversion: None,
            note: None,
            file: vec![file],
        }
    }

    fn hash() -> String {
        hex(&Sha256::digest(BODY))
    }

    /// Answers each connection with the next of `answers`: a function of the first byte asked for.
    fn server(answers: Vec<fn(usize) -> Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut from = 0;
                for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                    if line.is_empty() {
                        break;
                    }
                    if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                        from = range.trim_end_matches('-').parse().unwrap();
                    }
                }
                stream.write_all(&answer(from)).unwrap();
            }
        });
        format!("http://{address}/")
    }

    fn partial(from: usize) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 206 Partial\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            BODY.len() - from
        );
        [head.as_bytes(), &BODY[from..]].concat()
    }

    fn whole(_: usize) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", BODY.len());
        [head.as_bytes(), BODY].concat()
    }

    fn cut(_: usize) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", BODY.len());
        [head.as_bytes(), &BODY[..7]].concat()
    }

    fn missing(_: usize) -> Vec<u8> {
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
    }

    #[test]
    fn a_download_that_breaks_off_is_resumed() {
        let folder = tempfile::tempdir().unwrap();
        get(&set(Some(server(vec![cut, partial])), &hash()), folder.path(), None).unwrap();
        assert_eq!(fs::read(folder.path().join("toy/a.txt")).unwrap(), BODY);
        assert!(!folder.path().join("toy/a.txt.part").exists());
    }

    #[test]
    fn a_server_without_ranges_starts_again() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("toy")).unwrap();
        fs::write(folder.path().join("toy/a.txt.part"), "0123").unwrap();
        get(&set(Some(server(vec![whole])), &hash()), folder.path(), None).unwrap();
        assert_eq!(fs::read(folder.path().join("toy/a.txt")).unwrap(), BODY);
    }

    #[test]
    fn a_wrong_hash_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let error = get(&set(Some(server(vec![whole])), "00"), folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("expected 00; the file was refused"), "{error}");
        assert_eq!(fs::read_dir(folder.path().join("toy")).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_published_unpacked_is_packed_here() {
        let mut set = set(Some(server(vec![whole])), "hash of another gzip");
        set.file[0].path = "a.json.gz".into();
        set.file[0].remote = Some("a.json".into());
        set.file[0].unpacked_sha256 = Some(hash());
        let folder = tempfile::tempdir().unwrap();
        get(&set, folder.path(), None).unwrap();
        let path = folder.path().join("toy/a.json.gz");
        assert!(set.file[0].fits(&path).unwrap());
        let mut content = Vec::new();
        MultiGzDecoder::new(File::open(&path).unwrap()).read_to_end(&mut content).unwrap();
        assert_eq!(content, BODY);
        assert_eq!(fs::read_dir(folder.path().join("toy")).unwrap().count(), 1);
    }

    #[test]
    fn an_archive_is_fetched_and_converted_and_another_content_is_refused() {
        let mut packed =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        let texts = [("id/train.id", "a"), ("id/dev.id", "a"), ("id/test.id", "a"), ("knp/x/a.knp", "EOS\n")];
        for (path, text) in texts {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            packed.append_data(&mut header, format!("corpus-1/{path}"), text.as_bytes()).unwrap();
        }
        let packed = packed.into_inner().unwrap().finish().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("a.tar.gz");
        fs::write(&archive, packed).unwrap();
        let entry = |path: &str, text: &[u8], unpacked: Option<&[u8]>| Entry {
            path: path.into(),
            remote: None,
            bytes: text.len() as u64,
            sha256: hex(&Sha256::digest(text)),
            unpacked_sha256: unpacked.map(|text| hex(&Sha256::digest(text))),
        };
        let set = |dev: &[u8]| Set {
            archive: Some(archive.display().to_string()),
            conversion: Some("knp".into()),
            file: vec![entry("dev.knp", dev, None), entry("train.knp.gz", b"other bytes", Some(b"EOS\n"))],
            ..set(None, "")
        };
        let data = folder.path().join("data");
        let error = get(&set(b"another"), &data, None).unwrap_err().to_string();
        assert!(error.contains("dev.knp has another hash than expected after conversion"), "{error}");
        assert_eq!(fs::read_dir(data.join("toy")).unwrap().count(), 0);
        get(&set(b"EOS\n"), &data, None).unwrap();
        assert_eq!(fs::read(data.join("toy/dev.knp")).unwrap(), b"EOS\n");
        assert_eq!(fs::read_dir(data.join("toy")).unwrap().count(), 2);
        get(&set(b"EOS\n"), &data, None).unwrap(); // nothing to do
    }

    #[test]
    fn a_full_disk_is_told_and_the_download_can_go_on() {
        // A device that takes no byte stands in for a disk without space.
        let error = copy(&mut &BODY[..], Path::new("/dev/full"), false, &ProgressBar::hidden()).unwrap_err();
        assert_eq!(error.to_string(), "writing /dev/full: is the disk full?");
        assert!(error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::StorageFull));
    }

    #[test]
    fn a_missing_file_says_the_status() {
        let folder = tempfile::tempdir().unwrap();
        let error =
            get(&set(Some(server(vec![missing])), &hash()), folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("HTTP status 404"), "{error}");
    }

    #[test]
    fn a_mirror_folder_serves_and_a_set_without_source_explains() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = folder.path().join("mirror");
        fs::create_dir_all(mirror.join("toy")).unwrap();
        fs::write(mirror.join("toy/a.txt"), BODY).unwrap();
        let data = folder.path().join("data");
        get(&set(None, &hash()), &data, mirror.to_str()).unwrap();
        assert_eq!(fs::read(data.join("toy/a.txt")).unwrap(), BODY);
        let error = get(&set(None, &hash()), &folder.path().join("other"), None).unwrap_err().to_string();
        assert_eq!(error, "toy: no public address; use --mirror");
    }
}
