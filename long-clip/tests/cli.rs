//! The command, in fresh folders.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod toy;

use std::fs;
use std::path::Path;

use toy::{captions, fails, images, model, run, succeeds};

fn stderr(folder: &Path, arguments: &[&str]) -> String {
    String::from_utf8(run(folder, arguments).stderr).unwrap()
}

#[test]
fn a_stretched_model_reports_its_table_and_has_248_positions() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    model(here);
    let out = succeeds(here, &["stretch", "model", "--out", "long"]);
    assert!(out.contains("positions                           77       248"), "{out}");
    assert!(out.contains("positions 0 to 20 are the old ones bit by bit: true"), "{out}");
    assert!(
        out.contains("features of 32 random texts of up to 21 tokens are the old ones bit by bit: true"),
        "{out}"
    );
    let settings: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(here.join("long/config.json")).unwrap()).unwrap();
    assert_eq!(settings["text_config"]["max_position_embeddings"], 248);
    assert!(here.join("long/merges.txt").exists() && here.join("long/vocab.json").exists());
    let out = succeeds(here, &["convert", "long", "--out", "open", "--format", "open-clip"]);
    assert_eq!(out, "open\n");
    let out = succeeds(here, &["stretch", "model", "--out", "plain", "--method", "plain"]);
    assert!(out.contains("positions 0 to 0 are the old ones bit by bit: true"), "{out}");
    let error = fails(here, &["stretch", "model", "--out", "x", "--kept", "77"]);
    assert_eq!(
        error.lines().last().unwrap(),
        "error: model: 77 rows cannot be kept of a table of 77; keep at most 76"
    );
}

#[test]
fn what_is_cut_off_is_counted_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("merges.txt"), toy::MERGES).unwrap();
    fs::write(here.join("texts.txt"), "the red\n\nthe red in the blue\n").unwrap();
    let out = succeeds(here, &["tokens", "texts.txt", "--context", "5", "--merges", "merges.txt"]);
    assert_eq!(
        out,
        "3 texts (1 empty): mean 4.7, median 4, 90 % 8, longest 8 tokens\n\
         of 5 positions: 1 texts cut (33.3 %), 21.4 % of all tokens lost\n"
    );
    let out = succeeds(here, &["tokens", "texts.txt", "--context", "5", "--merges", "merges.txt", "--lines"]);
    let last: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["tokens"], &last["cut_off"]), (&8.into(), &"n the blue".into()));
    fs::write(here.join("texts.jsonl"), "{\"image\": \"x\", \"caption\": \"the red\"}\n{\"x\": 1}\n")
        .unwrap();
    let error = fails(here, &["tokens", "texts.jsonl", "--merges", "merges.txt"]);
    assert!(error.starts_with("error: texts.jsonl:2: none of the keys `caption`"), "{error}");
    let error = fails(here, &["tokens", "texts.txt", "--context", "1", "--merges", "merges.txt"]);
    assert_eq!(error, "error: --context is 1, expected at least 2: a start and an end token\n");
    let error = fails(here, &["tokens", "absent.txt", "--merges", "merges.txt"]);
    assert!(error.starts_with("error: absent.txt:0: cannot be read"), "{error}");
}

#[test]
fn an_index_skips_broken_images_and_finds_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    model(here);
    images(here);
    fs::write(here.join("images/broken.jpg"), b"\xff\xd8 not an image").unwrap();
    let output = run(here, &["index", "images", "--model", "model", "--out", "index"]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("skipped: images/broken.jpg: "), "{words}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "index: 8 images, 1 skipped\n");
    let arguments =
        ["search", "index", "a red square", "--model", "model", "-k", "3", "--gallery", "page.html"];
    let out = succeeds(here, &arguments);
    assert_eq!(out.lines().count(), 3);
    assert!(out.starts_with("1\t"), "{out}");
    let page = fs::read_to_string(here.join("page.html")).unwrap();
    assert_eq!(page.matches("data:image/jpeg;base64,").count(), 3);
    let error = fails(here, &["search", "index", "", "--model", "model"]);
    assert!(error.ends_with("error: ``: an empty description; say what the image shows\n"), "{error}");
    succeeds(here, &["stretch", "model", "--out", "long"]);
    let long = "a red square, ".repeat(30);
    let words = stderr(here, &["search", "index", &long, "--model", "model"]);
    assert!(words.contains("tokens; `stretch` makes a model that reads more"), "{words}");
    // The image tower is the same, so the index serves the stretched model too.
    assert_eq!(succeeds(here, &["search", "index", "a red square", "--model", "long", "-k", "3"]), out);
}

#[test]
fn an_index_of_another_model_or_a_cut_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    model(here);
    images(here);
    succeeds(here, &["index", "images", "--model", "model", "--out", "index"]);
    let description = fs::read_to_string(here.join("index/index.json")).unwrap();
    fs::write(here.join("index/index.json"), description.replace("\"model\":\"", "\"model\":\"0")).unwrap();
    let error = fails(here, &["search", "index", "red", "--model", "model"]);
    assert!(
        error.contains("index: made with another image tower than model; make the index again"),
        "{error}"
    );
    fs::write(here.join("index/index.json"), &description).unwrap();
    let features = fs::read(here.join("index/features.npy")).unwrap();
    fs::write(here.join("index/features.npy"), &features[..features.len() - 4]).unwrap();
    let error = fails(here, &["search", "index", "red", "--model", "model"]);
    assert!(error.contains("the numbers do not fit its shape: cut? make the index again"), "{error}");
    fs::create_dir(here.join("empty")).unwrap();
    let error = fails(here, &["index", "empty", "--model", "model", "--out", "x"]);
    assert!(
        error.contains("empty: no images below it; expected PNG, JPEG, WebP, GIF or BMP files"),
        "{error}"
    );
}

#[test]
fn features_of_texts_and_images_are_numpy_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    model(here);
    images(here);
    fs::write(here.join("texts.txt"), "a red square\na blue square\n").unwrap();
    let out = succeeds(here, &["encode", "--model", "model", "--texts", "texts.txt", "--out", "t.npy"]);
    assert_eq!(out, "t.npy: 2 × 16\n");
    let bytes = fs::read(here.join("t.npy")).unwrap();
    assert_eq!(bytes.len(), 128 + 2 * 16 * 4);
    assert!(bytes.starts_with(b"\x93NUMPY"));
    let out = succeeds(here, &["encode", "--model", "model", "--images", "images", "--out", "i.npy"]);
    assert_eq!(out, "i.npy: 8 × 16\n");
    let names = fs::read_to_string(here.join("i.txt")).unwrap();
    assert_eq!((names.lines().count(), names.lines().next()), (8, Some("images/black.png")));
}

/// A row of a table, its cells separated by one space.
fn row(table: &str, name: &str) -> String {
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn retrieval_is_measured_on_every_layout() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    model(here);
    images(here);
    captions(here);
    let tsv = succeeds(
        here,
        &["evaluate", "captions.tsv", "--model", "model", "--lengths", "4,8,30", "--json", "m.json"],
    );
    assert!(tsv.starts_with("8 images (0 skipped), 8 texts (0 cut)\n"), "{tsv}");
    assert_eq!(row(&tsv, "R@10"), "R@10 1.0000 [1.0000, 1.0000] 1.0000 [1.0000, 1.0000]");
    assert!(tsv.contains("effective length: "), "{tsv}");
    let measured: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(here.join("m.json")).unwrap()).unwrap();
    assert_eq!(measured["curve"].as_array().unwrap().len(), 3);
    let recalls =
        |out: &str| out.lines().filter(|line| line.starts_with("R@")).collect::<Vec<_>>().join("\n");
    let expected: String =
        recalls(&tsv).lines().filter(|line| !line.starts_with("R@1 ")).collect::<Vec<_>>().join("\n");
    for (name, content) in layouts() {
        fs::write(here.join(name), content).unwrap();
        let out = succeeds(here, &["evaluate", name, "--model", "model", "--images", "images"]);
        let same: String =
            recalls(&out).lines().filter(|line| !line.starts_with("R@1 ")).collect::<Vec<_>>().join("\n");
        assert!(out.starts_with("8 images (0 skipped), 8 texts"), "{name}: {out}");
        assert!(!same.is_empty() && expected.contains(same.lines().next().unwrap()), "{name}: {same}");
    }
    urban(here);
    let out = succeeds(here, &["evaluate", "urban", "--model", "model"]);
    assert!(out.starts_with("8 images (0 skipped), 8 texts"), "{out}");
    webdataset(here);
    let out = succeeds(here, &["evaluate", "pairs.tar", "--model", "model"]);
    assert!(out.starts_with("8 images (0 skipped), 8 texts"), "{out}");
}

fn caption(name: &str) -> String {
    format!("A {name} square. It is all {name}, and nothing else is in it.")
}

/// The same pairs in other layouts.
fn layouts() -> Vec<(&'static str, String)> {
    let each = |row: &dyn Fn(usize, &str) -> String, between: &str| {
        toy::COLOURS.iter().enumerate().map(|(i, (name, _))| row(i, name)).collect::<Vec<_>>().join(between)
    };
    let images = each(&|i, name| format!(r#"{{"id": {i}, "file_name": "{name}.png"}}"#), ", ");
    let captions =
        each(&|i, name| format!(r#"{{"id": {i}, "image_id": {i}, "caption": " {} "}}"#, caption(name)), ", ");
    let karpathy = each(
        &|i, name| {
            format!(
                r#"{{"filename": "{name}.png", "split": "test", "imgid": {i}, "sentences": [{{"raw": "{}"}}]}}"#,
                caption(name)
            )
        },
        ", ",
    );
    let share = each(
        &|_, name| {
            format!(
                r#"{{"id": "x", "image": "{name}.png", "conversations": [{{"from": "human", "value": "?"}}, {{"from": "gpt", "value": "{}"}}]}}"#,
                caption(name)
            )
        },
        ", ",
    );
    vec![
        ("coco.json", format!(r#"{{"images": [{images}], "annotations": [{captions}]}}"#)),
        ("karpathy.json", format!(r#"{{"dataset": "toy", "images": [{karpathy}]}}"#)),
        ("share.json", format!("[{share}]")),
        (
            "long.jsonl",
            each(&|_, name| format!(r#"{{"image": "{name}.png", "caption": "{}"}}"#, caption(name)), "\n"),
        ),
        ("toy.token", each(&|_, name| format!("{name}.png#0\t{}", caption(name)), "\n")),
        (
            "table.csv",
            format!("filepath,title\n{}", each(&|_, name| format!("{name}.png,\"{}\"", caption(name)), "\n")),
        ),
    ]
}

fn urban(here: &Path) {
    fs::create_dir_all(here.join("urban/caption")).unwrap();
    fs::rename(here.join("images"), here.join("urban/image")).unwrap();
    for (name, _) in toy::COLOURS {
        fs::write(here.join(format!("urban/caption/{name}.txt")), caption(name)).unwrap();
    }
}

fn webdataset(here: &Path) {
    let mut archive = tar::Builder::new(fs::File::create(here.join("pairs.tar")).unwrap());
    for (name, _) in toy::COLOURS {
        archive
            .append_path_with_name(here.join(format!("urban/image/{name}.png")), format!("{name}.png"))
            .unwrap();
        archive
            .append_path_with_name(here.join(format!("urban/caption/{name}.txt")), format!("{name}.txt"))
            .unwrap();
    }
    archive.finish().unwrap();
}

#[test]
fn class_folders_are_classified_with_templates() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    model(here);
    let images = images(here);
    for (name, _) in toy::COLOURS {
        fs::create_dir_all(here.join("classes").join(name)).unwrap();
        fs::copy(images.join(format!("{name}.png")), here.join("classes").join(name).join("1.png")).unwrap();
    }
    fs::write(here.join("templates.txt"), "a photo of a {}.\nthe {} one\n").unwrap();
    let arguments =
        ["evaluate", "classes", "--zero-shot", "--model", "model", "--templates", "templates.txt"];
    let out = succeeds(here, &arguments);
    assert!(out.starts_with("8 images (0 skipped), 8 classes, 2 templates\ntop-1 "), "{out}");
    fs::write(here.join("templates.txt"), "a photo\n").unwrap();
    let error = fails(here, &arguments);
    assert!(error.ends_with("error: templates.txt:1: `a photo` has no `{}` for the class\n"), "{error}");
}

#[test]
fn captions_without_images_and_empty_ones_are_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    model(here);
    images(here);
    let rows = "filepath\ttitle\nred.png\ta red one\nblue.png\t \nabsent.png\tnothing\nred.png\t\n";
    fs::write(here.join("c.tsv"), rows).unwrap();
    let words = stderr(here, &["evaluate", "c.tsv", "--model", "model"]);
    assert!(
        words.contains("left out: images/blue.png: an image without captions")
            || words.contains("blue.png: an image without captions"),
        "{words}"
    );
    assert!(words.contains("absent.png: captions without an image"), "{words}");
    assert!(
        words.contains("left out in all: 2 images or captions without the other, 2 empty captions"),
        "{words}"
    );
    fs::write(here.join("d.tsv"), "filepath\ttitle\nabsent.png\tnothing\n").unwrap();
    let error = fails(here, &["evaluate", "d.tsv", "--model", "model"]);
    assert!(error.contains("d.tsv: no image with a caption is left; 1 were left out, such as absent.png: captions without an image; give the folder of the images with --images"), "{error}");
}

#[test]
fn sources_of_no_known_layout_are_refused_with_the_ones_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    model(here);
    let cases = [
        ("a.xyz", "", "unknown layout; expected COCO, Karpathy or ShareGPT4V"),
        (
            "a.json",
            "{\"rows\": 3}",
            "a.json: not one of the layouts; expected COCO (`images`, `annotations`)",
        ),
        ("b.json", "{\"images\": [", "b.json: EOF while parsing"),
        (
            "a.tsv",
            "file\ttext\nx\ty\n",
            "a.tsv: no column `filepath`; it has `file`, `text`; name them with --image-key and --caption-key",
        ),
        ("a.jsonl", "{\"x\": 1}\n", "a.jsonl:1: none of the keys `filepath`"),
        ("a.token", "no tab\n", "a.token:1: not a line of Flickr30k"),
    ];
    for (name, content, expected) in cases {
        fs::write(here.join(name), content).unwrap();
        let error = fails(here, &["evaluate", name, "--model", "model"]);
        assert!(error.contains(expected), "{name}: {error}");
    }
    let error = fails(here, &["evaluate", "absent.json", "--model", "model"]);
    assert!(error.contains("absent.json: reading: no such file or folder"), "{error}");
}

#[test]
fn training_learns_eight_colours_and_writes_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    model(here);
    images(here);
    captions(here);
    let train = [
        "train",
        "captions.tsv",
        "--model",
        "model",
        "--out",
        "trained",
        "--batch",
        "8",
        "--epochs",
        "60",
        "--components",
        "3",
        "--learning-rate",
        "3e-3",
        "--warmup",
        "5",
        "--first-scale",
        "20",
        "--quiet",
        "--threads",
        "1",
    ];
    assert_eq!(succeeds(here, &train), "trained\n");
    let history: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(here.join("trained/history.json")).unwrap()).unwrap();
    let first = history["epochs"][0]["long"].as_f64().unwrap();
    let last = history["epochs"][59]["long"].as_f64().unwrap();
    assert!(last < first && last < 1.2, "{first} {last}");
    let out = succeeds(here, &["evaluate", "captions.tsv", "--model", "trained"]);
    assert_eq!(row(&out, "R@1"), "R@1 1.0000 [1.0000, 1.0000] 1.0000 [1.0000, 1.0000]");
    assert!(!here.join("trained/checkpoints").exists());
}

#[test]
fn a_stopped_run_goes_on_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    model(here);
    images(here);
    captions(here);
    let train = |out: &str, more: &[&str]| {
        let mut arguments = vec![
            "train",
            "captions.tsv",
            "--model",
            "model",
            "--out",
            out,
            "--batch",
            "4",
            "--epochs",
            "6",
            "--components",
            "2",
            "--learning-rate",
            "1e-3",
            "--warmup",
            "2",
            "--quiet",
            "--threads",
            "1",
        ];
        arguments.extend(more);
        run(here, &arguments)
    };
    assert!(train("whole", &[]).status.success());
    let stopped = train("parts", &["--max-minutes", "0"]);
    assert_eq!(stopped.status.code(), Some(130));
    let words = String::from_utf8(stopped.stderr).unwrap();
    assert!(words.contains("stopped at step 1 of 12; go on with the same command and --resume"), "{words}");
    let other = train("parts", &["--resume", "--seed", "2"]);
    let words = String::from_utf8(other.stderr).unwrap();
    assert!(words.contains("the checkpoint has another seed than this run"), "{words}");
    assert!(train("parts", &["--resume"]).status.success());
    let weights = |name: &str| fs::read(here.join(name).join("model.safetensors")).unwrap();
    assert!(weights("whole") == weights("parts"));
}

#[test]
fn a_batch_too_small_for_the_components_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    model(here);
    images(here);
    captions(here);
    let error = fails(
        here,
        &["train", "captions.tsv", "--model", "model", "--out", "x", "--batch", "8", "--components", "7"],
    );
    assert!(
        error.contains(
            "a batch of 8 has at most 7 principal components, of which 7 would be kept: nothing would be dropped, and the \
             short texts be matched with the features themselves; raise --batch to at least 9, or lower --components"
        ),
        "{error}"
    );
    let error = fails(
        here,
        &["train", "captions.tsv", "--model", "model", "--out", "x", "--batch", "9", "--components", "3"],
    );
    assert!(error.contains("8 images with captions are fewer than a batch of 9; lower --batch"), "{error}");
}

#[test]
fn models_and_tokenizers_that_do_not_belong_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    model(here);
    images(here);
    captions(here);
    fs::write(here.join("other.txt"), "#version: 0.2\nr e\n").unwrap();
    let error = fails(here, &["evaluate", "captions.tsv", "--model", "model", "--merges", "other.txt"]);
    assert!(
        error.ends_with(
            "error: other.txt has 515 tokens, the model 523: give the model's own with --merges\n"
        ),
        "{error}"
    );
    let error = fails(here, &["evaluate", "captions.tsv", "--model", "absent.pt"]);
    assert!(error.contains("absent.pt: reading: no such file or folder"), "{error}");
    let error = run(here, &["evaluate", "captions.tsv", "--model", "model", "--activation", "relu"]);
    assert!(String::from_utf8(error.stderr).unwrap().contains("activation `relu`; expected `quick_gelu`"));
}
