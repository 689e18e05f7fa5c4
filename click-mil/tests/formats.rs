//! VOC and click files in and out, good and bad.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use click_mil::dataset::{Dataset, Object, Picture};
use click_mil::evaluate::Detection;
use click_mil::formats::clicks::{self, Click, Clicks};
use click_mil::formats::voc;
use click_mil::geometry::BoundingBox;

fn object(name: &str, sides: [&str; 4]) -> String {
    let [x0, y0, x1, y1] = sides;
    format!(
        "<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
    )
}

fn write_voc(root: &Path, objects: &str, ending: &str) {
    for folder in ["Annotations", "ImageSets/Main", "JPEGImages"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    image::RgbImage::new(40, 30).save(root.join("JPEGImages/one.png")).unwrap();
    fs::rename(root.join("JPEGImages/one.png"), root.join("JPEGImages").join(format!("one.{ending}")))
        .unwrap();
    let xml = format!("<annotation><size><width>0</width><height>0</height></size>\n{objects}</annotation>");
    fs::write(root.join("Annotations/one.xml"), xml).unwrap();
    fs::write(root.join("ImageSets/Main/train.txt"), "one\n").unwrap();
}

#[test]
fn boxes_from_one_are_read_from_zero_and_sizes_from_the_file() {
    let root = tempfile::tempdir().unwrap();
    write_voc(root.path(), &object("cat", ["1", "2.5", "40", "30"]), "PNG");
    let read = voc::read(root.path(), "train").unwrap();
    let picture = &read.dataset.pictures[0];
    assert_eq!((picture.width, picture.height), (40, 30));
    assert_eq!(picture.objects[0].bbox, BoundingBox::new(0.0, 1.5, 40.0, 30.0));
    assert!(read.notes.is_empty());
    let again = root.path().join("again.xml");
    fs::write(&again, voc::annotation_xml(picture, &read.dataset.classes)).unwrap();
    assert_eq!(voc::read_annotation(&again).unwrap().objects[0].0, "cat");
}

#[test]
fn reversed_boxes_are_turned_and_boxes_without_size_left_out() {
    let root = tempfile::tempdir().unwrap();
    let objects = object("cat", ["20", "5", "10", "15"]) + &object("dog", ["5", "5", "5", "9"]);
    write_voc(root.path(), &objects, "png");
    let read = voc::read(root.path(), "train").unwrap();
    assert_eq!(read.dataset.classes, ["cat"]);
    assert_eq!(read.dataset.pictures[0].objects[0].bbox, BoundingBox::new(9.0, 4.0, 20.0, 15.0));
    assert_eq!(read.notes.len(), 2);
    assert!(
        read.notes[0].ends_with("line 2: the box of `cat` is reversed; its ends were exchanged"),
        "{:?}",
        read.notes
    );
    assert!(read.notes[1].ends_with("the box of `dog` has no size; it was left out"));
}

#[test]
fn broken_annotations_are_named_with_their_line() {
    let root = tempfile::tempdir().unwrap();
    let fails = |objects: &str| {
        write_voc(root.path(), objects, "png");
        let error = voc::read(root.path(), "train").unwrap_err().to_string();
        error.split_once("one.xml: ").unwrap().1.to_owned()
    };
    assert_eq!(
        fails(&object("cat", ["a", "1", "2", "2"])),
        "line 2: `xmin` is `a`; expected a number of pixels"
    );
    assert_eq!(fails("<object/>"), "line 2: an object without a name; expected its class");
    assert!(fails("<object>").contains("expected VOC XML"));
    fs::write(root.path().join("Annotations/one.xml"), "<annotation/>").unwrap();
    fs::write(root.path().join("ImageSets/Main/train.txt"), "one\ntwo\n").unwrap();
    let error = voc::read(root.path(), "train").unwrap_err().to_string();
    assert!(error.contains("two.xml: reading: no such file") || error.contains("no such file"), "{error}");
}

#[test]
fn detections_come_back_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let picture = Picture { id: "one".into(), width: 40, height: 30, ..Picture::default() };
    let dataset = Dataset { classes: vec!["cat".into()], pictures: vec![picture] };
    let bbox = BoundingBox::new(1.5, 2.0, 10.25, 20.0);
    let detections = [Detection { picture: 0, class: 0, bbox, score: 0.25 }];
    voc::write_detections(folder.path(), "test", &dataset, &detections).unwrap();
    assert_eq!(voc::read_detections(folder.path(), "test", &dataset).unwrap(), detections);
    fs::write(folder.path().join("comp4_det_test_cat.txt"), "two 0.5 1 1 2 2\n").unwrap();
    let error = voc::read_detections(folder.path(), "test", &dataset).unwrap_err().to_string();
    assert!(
        error.ends_with("line 1: image `two` is not in the split `test`; is it the right split?"),
        "{error}"
    );
}

fn click(image: &str, annotator: u32, x: f64) -> Click {
    Click { image: image.into(), class: "cat".into(), annotator, x, y: 2.0, time_ms: Some(1830) }
}

#[test]
fn clicks_are_read_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let all = vec![click("one", 0, 3.5), click("one", 1, 4.0)];
    for name in ["clicks.csv", "clicks.json"] {
        let path = folder.path().join(name);
        clicks::write(&path, &all).unwrap();
        assert_eq!(clicks::read(&path).unwrap(), all, "{name}");
    }
    let plain = folder.path().join("clicks.txt");
    fs::write(&plain, "one cat 3.5 2 4 2\n").unwrap();
    let untimed: Vec<Click> = all.iter().map(|click| Click { time_ms: None, ..click.clone() }).collect();
    assert_eq!(clicks::read(&plain).unwrap(), untimed);
    let points = "<point><x>3.5</x><y>2</y></point><point><x>4</x><y>2</y></point>";
    write_voc(
        folder.path(),
        &object("cat", ["1", "1", "9", "9"]).replace("</object>", &format!("{points}</object>")),
        "png",
    );
    assert_eq!(clicks::read(&folder.path().join("Annotations")).unwrap(), untimed);
}

#[test]
fn clicks_that_fit_no_image_are_refused() {
    let path = Path::new("clicks.csv");
    let picture = Picture { id: "one".into(), width: 40, height: 30, objects: vec![], ..Picture::default() };
    let mut dataset = Dataset { classes: vec!["cat".into()], pictures: vec![picture] };
    dataset.pictures[0].objects.push(Object::new(0, BoundingBox::new(0.0, 0.0, 5.0, 5.0)));
    let fails = |clicks: &[Click]| Clicks::placed(path, clicks, &dataset).unwrap_err().to_string();
    assert_eq!(
        fails(&[click("one", 0, 41.0)]),
        "clicks.csv: click 1: (41, 2) lies outside image `one` of 40×30 pixels; are these pixels of the original image?"
    );
    assert_eq!(
        fails(&[click("two", 0, 1.0)]),
        "clicks.csv: click 1: image `two` is not in the data set; expected one of its ids"
    );
    assert!(fails(&[click("one", 0, 1.0), click("one", 0, 2.0)]).contains("at click 1 already"));
    assert_eq!(
        Clicks::placed(path, &[click("one", 1, 1.0), click("one", 0, 2.0)], &dataset).unwrap().of(0, 0)[0].x,
        2.0
    );
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("c.csv");
    fs::write(&csv, "image,class,annotator,x,y\none,cat,0,abc,2\n").unwrap();
    let error = clicks::read(&csv).unwrap_err().to_string();
    assert!(error.contains("c.csv: line 2: ") && error.contains("expected the columns"), "{error}");
}
