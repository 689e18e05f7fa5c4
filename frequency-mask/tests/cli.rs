//! The command, with good and bad input.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageBuffer, Rgb, RgbImage};
use tempfile::TempDir;

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_frequency-mask"))
}

fn run(arguments: &[&str], folder: &Path) -> Output {
    command().args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Standard output of a command that must succeed.
fn good(arguments: &[&str], folder: &Path) -> String {
    let output = run(arguments, folder);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Standard error of a command that must fail with exit code 1.
fn bad(arguments: &[&str], folder: &Path) -> String {
    let output = run(arguments, folder);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

/// Real pictures are smooth, fakes carry a checkerboard.
fn picture(at: u32, fake: bool) -> RgbImage {
    RgbImage::from_fn(32, 32, |x, y| {
        let wave = 60.0 * (0.1 * f64::from(x * (at % 5 + 1)) + 0.07 * f64::from(y * (at % 3 + 1))).sin();
        let board = if fake && (x + y) % 2 == 0 { 14.0 } else { 0.0 };
        Rgb([0.0, 10.0, 20.0].map(|offset| (120.0 + wave + board + offset) as u8))
    })
}

fn write_set(folder: &Path, n: u32) {
    for (class, fake) in [("0_real", false), ("1_fake", true)] {
        fs::create_dir_all(folder.join(class)).unwrap();
        for at in 0..n {
            picture(at, fake).save(folder.join(class).join(format!("{at:02}.png"))).unwrap();
        }
    }
}

/// A small detector, trained once, and its training set.
fn trained() -> &'static (TempDir, PathBuf) {
    static ONCE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    ONCE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        write_set(&folder.path().join("set"), 20);
        let train = [
            "train",
            "set",
            "--out",
            "detector",
            "--network",
            "small-resnet",
            "--short-side",
            "0",
            "--crop",
            "24",
            "--epochs",
            "6",
            "--batch",
            "8",
            "--learning-rate",
            "0.003",
            "--ratio",
            "0.1",
            "--device",
            "cpu",
            "--quiet",
        ];
        assert_eq!(good(&train, folder.path()), "detector\n");
        let path = folder.path().join("detector");
        (folder, path)
    })
}

fn with_model<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let model = trained().1.to_str().unwrap();
    arguments.iter().copied().chain(["--model", model, "--device", "cpu"]).collect()
}

#[test]
fn a_picture_is_masked_with_its_spectra() {
    let folder = tempfile::tempdir().unwrap();
    // Odd and not square; another one pixel high.
    picture(1, false).save(folder.path().join("a.png")).unwrap();
    RgbImage::from_pixel(31, 17, Rgb([90; 3])).save(folder.path().join("odd.png")).unwrap();
    RgbImage::from_pixel(40, 1, Rgb([90; 3])).save(folder.path().join("flat.png")).unwrap();
    let out = good(&["mask", "a.png", "odd.png", "flat.png", "--out", "m", "--spectra"], folder.path());
    assert_eq!(out, "m/a.png\nm/odd.png\nm/flat.png\n");
    for name in ["a.png", "a.before.png", "a.after.png", "a.mask.png"] {
        let picture = image::open(folder.path().join("m").join(name)).unwrap();
        assert_eq!((picture.width(), picture.height()), (32, 32));
    }
    assert_eq!(image::open(folder.path().join("m/odd.png")).unwrap().into_rgb8().dimensions(), (31, 17));
    assert_eq!(image::open(folder.path().join("m/flat.png")).unwrap().into_rgb8().dimensions(), (40, 1));
    for mode in ["compat", "pixel", "patch", "patch-compat"] {
        good(&["mask", "a.png", "--out", "other", "--mode", mode, "--ratio", "0.5"], folder.path());
    }
    good(
        &["mask", "a.png", "--out", "bands", "--band", "low,high", "--channel", "g", "--square"],
        folder.path(),
    );
}

#[test]
fn a_ratio_outside_of_0_to_1_and_two_files_of_one_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    picture(1, false).save(folder.path().join("a.png")).unwrap();
    let error = bad(&["mask", "a.png", "--out", "m", "--ratio", "15"], folder.path());
    assert_eq!(error, "error: the ratio of a mask is 15; expected 0 to 1 (15 % is 0.15)\n");
    fs::create_dir(folder.path().join("b")).unwrap();
    picture(2, false).save(folder.path().join("b/a.png")).unwrap();
    let error = bad(&["mask", "a.png", "b/a.png", "--out", "m"], folder.path());
    assert!(error.contains("a.png and b/a.png would both become a.png"), "{error}");
    assert!(!folder.path().join("m").exists());
}

#[test]
fn pictures_of_every_kind_are_read_or_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let deep: ImageBuffer<Rgb<u16>, Vec<u16>> =
        ImageBuffer::from_fn(9, 9, |x, _| Rgb([(x * 7000) as u16; 3]));
    deep.save(at("deep.png")).unwrap();
    image::GrayImage::from_pixel(9, 9, image::Luma([77])).save(at("grey.png")).unwrap();
    fs::write(at("cmyk.jpg"), cmyk()).unwrap();
    good(&["mask", "deep.png", "grey.png", "cmyk.jpg", "--out", "m", "--ratio", "0"], folder.path());
    let read = |name: &str| image::open(at("m").join(name)).unwrap().into_rgb8();
    assert_eq!(read("deep.png").get_pixel(8, 0).0, [218; 3]); // 56000 / 257
    assert_eq!(read("grey.png").get_pixel(0, 0).0, [77; 3]);

    let mut jpeg = Vec::new();
    JpegEncoder::new(&mut jpeg).encode_image(&picture(3, false)).unwrap();
    fs::write(at("cut.jpg"), &jpeg[..jpeg.len() / 4]).unwrap();
    fs::write(at("moving.gif"), b"GIF89a rest").unwrap();
    fs::write(at("text.png"), "no picture").unwrap();
    picture(1, false).save(at("good.png")).unwrap();
    let files = ["cut.jpg", "moving.gif", "text.png", "gone.png", "good.png"];
    let error = bad(&[&["mask"], &files[..], &["--out", "n"]].concat(), folder.path());
    for wanted in [
        "error: cut.jpg: not a whole PNG, JPEG or WebP picture: ",
        "error: moving.gif: an animated GIF; expected a single picture (save one frame as PNG)",
        "error: text.png: not a whole PNG, JPEG or WebP picture: its first bytes are those of another format",
        "error: gone.png: No such file",
        "error: 4 of 5 pictures could not be read, see above; the others are masked",
    ] {
        assert!(error.contains(wanted), "{wanted}\n{error}");
    }
    assert!(at("n/good.png").exists() && !at("n/cut.png").exists());
}

/// A JPEG of four colours: 8 x 8 pixels, all coefficients 0 but the first.
fn cmyk() -> Vec<u8> {
    let mut out = vec![0xff, 0xd8];
    let mut segment = |marker: u8, body: &[u8]| {
        out.extend([0xff, marker]);
        out.extend(((body.len() + 2) as u16).to_be_bytes());
        out.extend(body);
    };
    segment(0xee, b"Adobe\0\x64\0\0\0\0\0"); // no colour transform: CMYK
    segment(0xdb, &[&[0][..], &[1; 64]].concat());
    segment(0xc0, &[8, 0, 8, 0, 8, 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0]);
    // One code of one bit: category 0 for DC, end of block for AC.
    let mut counts = [0_u8; 16];
    counts[0] = 1;
    segment(0xc4, &[&[0x00][..], &counts, &[0]].concat());
    segment(0xc4, &[&[0x10][..], &counts, &[0]].concat());
    segment(0xda, &[4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0]);
    out.extend([0x00, 0xff, 0xd9]);
    out
}

#[test]
fn a_folder_is_scored_and_the_scores_part_the_classes() {
    let folder = &trained().0;
    let out = good(&with_model(&["detect", "set"]), folder.path());
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines[0], lines.len()), ("path,label,score", 41));
    let right =
        lines[1..].iter().filter(|line| line.contains("1_fake") == (line.split(',').nth(1) == Some("1")));
    assert!(right.count() >= 36, "{out}");
    let json = good(&with_model(&["detect", "set", "--format", "jsonl", "--tiles", "max"]), folder.path());
    assert!(json.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    let table = good(&with_model(&["evaluate", "set"]), folder.path());
    assert!(
        table.starts_with("dataset,AP,accuracy,AUC,real,fake\nset,") && table.contains(",20,20\naverage,"),
        "{table}"
    );
}

#[test]
fn a_list_on_standard_input_is_scored() {
    let folder = &trained().0;
    let mut child = command()
        .args(with_model(&["detect", "-"]))
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"set/0_real/00.png\n\nset/1_fake/01.png\n").unwrap();
    let out = text(&child.wait_with_output().unwrap().stdout);
    assert_eq!(out.lines().count(), 3, "{out}");
}

#[test]
fn detection_goes_on_where_it_was_cut_off() {
    let folder = &trained().0;
    let whole = good(&with_model(&["detect", "set"]), folder.path());
    let part: String = whole.split_inclusive('\n').take(11).collect();
    fs::write(folder.path().join("part.csv"), format!("{part}set/1_fa")).unwrap();
    good(&with_model(&["detect", "set", "--out", "part.csv", "--resume"]), folder.path());
    assert_eq!(fs::read_to_string(folder.path().join("part.csv")).unwrap(), whole);
    fs::write(folder.path().join("other.csv"), "name,value\na,1\n").unwrap();
    let error = bad(&with_model(&["detect", "set", "--out", "other.csv", "--resume"]), folder.path());
    assert!(error.starts_with("error: other.csv: not the output of `detect` in this --format: "), "{error}");
    assert_eq!(fs::read_to_string(folder.path().join("other.csv")).unwrap(), "name,value\na,1\n");
}

#[test]
fn an_unreadable_picture_in_the_middle_of_a_folder_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    write_set(&folder.path().join("set"), 3);
    fs::write(folder.path().join("set/0_real/01.png"), "broken").unwrap();
    let output = run(&with_model(&["detect", "set"]), folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout).lines().count(), 6);
    let error = text(&output.stderr);
    assert!(error.contains("error: set/0_real/01.png: not a whole"), "{error}");
    assert!(
        error.ends_with("error: 1 of 6 pictures could not be read, see above; the others are scored\n"),
        "{error}"
    );
}

#[test]
fn average_precision_of_one_class_is_undefined_and_not_zero() {
    let folder = tempfile::tempdir().unwrap();
    write_set(&folder.path().join("test/progan/cat"), 2);
    write_set(&folder.path().join("test/dalle"), 2);
    fs::remove_dir_all(folder.path().join("test/dalle/0_real")).unwrap();
    let output = run(&with_model(&["evaluate", "test", "--predictions", "p.csv"]), folder.path());
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{error}");
    assert!(out.contains("\ndalle,undefined,") && out.contains(",undefined,0,2\n"), "{out}");
    assert!(out.contains("\nprogan,"), "{out}");
    assert!(error.contains("warning: dalle: no readable real picture: AP and AUC are undefined"), "{error}");
    assert_eq!(fs::read_to_string(folder.path().join("p.csv")).unwrap().lines().count(), 7);
    let error = bad(&["train", "test/dalle", "--out", "d", "--device", "cpu"], folder.path());
    assert!(error.contains("images are all generated; a detector learns from both"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_loop_of_links_ends() {
    let folder = tempfile::tempdir().unwrap();
    write_set(&folder.path().join("set"), 2);
    std::os::unix::fs::symlink("..", folder.path().join("set/0_real/up")).unwrap();
    let out = good(&with_model(&["detect", "set"]), folder.path());
    assert_eq!(out.lines().count(), 5, "{out}");
}

#[test]
fn spectra_of_two_folders_are_written_and_the_checkerboard_is_seen() {
    let folder = &trained().0;
    let out =
        good(&["spectrum", "set/0_real", "set/1_fake", "--out", "spectra", "--side", "32"], folder.path());
    assert!(out.starts_with("real: 20 pictures, peaks "), "{out}");
    for name in ["real.png", "fake.png", "difference.png", "spectrum.csv"] {
        assert!(folder.path().join("spectra").join(name).exists());
    }
    let error = bad(&["spectrum", "set/0_real", "set/1_fake", "--out", "s"], folder.path());
    assert!(
        error.contains("no readable picture of at least 128 x 128 pixels; try a smaller --side"),
        "{error}"
    );
}

#[test]
fn a_folder_without_labels_and_one_without_detector_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    picture(1, false).save(folder.path().join("a.png")).unwrap();
    let error = bad(&["train", ".", "--out", "d", "--device", "cpu"], folder.path());
    assert!(error.contains("no picture below a folder `0_real`, `1_fake`, `real` or `fake`"), "{error}");
    let error = bad(&["detect", "a.png", "--model", ".", "--device", "cpu"], folder.path());
    assert!(error.contains("detector.json: reading: no such file or folder"), "{error}");
}
