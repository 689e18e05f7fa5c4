//! `annotate`: the page on which people click.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use common::interrupt;

use super::source::{Annotated, images, shown};
use crate::annotate::server::Page;
use crate::annotate::{Qualification, Session, Shown, Task};

/// Options of `annotate`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Images, or folders of images; every class is asked for in each
    #[arg(required_unless_present_any = ["voc", "coco"], conflicts_with_all = ["voc", "coco"], requires = "classes")]
    images: Vec<PathBuf>,
    /// Classes to ask for
    #[arg(long, value_delimiter = ',', value_name = "CLASS,…")]
    classes: Vec<String>,
    /// Folder in PASCAL VOC's layout: the classes that each image has are asked for
    #[arg(long, value_name = "FOLDER")]
    voc: Option<PathBuf>,
    /// Split of the VOC folder
    #[arg(long, default_value = "trainval")]
    split: String,
    /// COCO annotation file: the classes that each image has are asked for
    #[arg(long, value_name = "FILE", requires = "folder", conflicts_with = "voc")]
    coco: Option<PathBuf>,
    /// Folder of the COCO file's images
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// File for the clicks (CSV); a session that was left goes on
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Number of the person who clicks
    #[arg(long, default_value_t = 0)]
    annotator: u32,
    /// Shapes to practise on before the first image, as often as it takes; 0 leaves the practice out
    #[arg(long, default_value_t = 10)]
    practice: usize,
    /// Greatest mean distance from the centre that passes the practice, in pixels
    #[arg(long, default_value_t = 20.0)]
    limit: f64,
    /// Port on this machine; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    interrupt::listen();
    let (images, tasks) = asked(arguments)?;
    let Arguments { practice: polygons, limit: limit_px, annotator, .. } = *arguments;
    if !(limit_px.is_finite() && limit_px > 0.0) {
        bail!("--limit {limit_px}; expected a positive number of pixels");
    }
    let qualification = Qualification { polygons, limit_px, seed: u64::from(annotator) };
    let mut session = Session::open(images, tasks, qualification, annotator, &arguments.out)?;
    let page = Page::open(arguments.port)?;
    println!("{}", page.url());
    let [answered, all] = session.progress();
    eprintln!("open this page in a browser; {answered} of {all} answered; Ctrl-C ends, nothing is lost");
    let done = page.serve(&mut session, interrupt::asked)?;
    let [answered, all] = session.progress();
    let end = if done { "done" } else { "stopped" };
    eprintln!("{end}: {answered} of {all} answered, clicks in {}", shown(&arguments.out));
    Ok(ExitCode::SUCCESS)
}

fn asked(arguments: &Arguments) -> Result<(Vec<Shown>, Vec<Task>)> {
    let (mut all, mut tasks) = (Vec::new(), Vec::new());
    if arguments.voc.is_none() && arguments.coco.is_none() {
        for file in images(&arguments.images)? {
            let (width, height) = match image::image_dimensions(&file) {
                Ok(size) => size,
                Err(error) => {
                    eprintln!("warning: {}: {error}; skipped", file.display());
                    continue;
                }
            };
            let id = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if all.iter().any(|other: &Shown| other.id == id) {
                bail!("{}: another image is named `{id}`; expected each name once", file.display());
            }
            let task = |class: &String| Task { image: all.len(), class: class.clone() };
            tasks.extend(arguments.classes.iter().map(task));
            all.push(Shown { id, file, width, height });
        }
    } else {
        let Arguments { voc, split, coco, folder, .. } = arguments;
        let (voc, coco) = (voc.clone(), coco.clone());
        let read = Annotated { voc, split: split.clone(), coco, images: folder.clone() }.read()?;
        let dataset = read.dataset();
        for picture in &dataset.pictures {
            let classes = picture.classes().into_iter().map(|class| dataset.classes[class].clone());
            let wanted =
                classes.filter(|class| arguments.classes.is_empty() || arguments.classes.contains(class));
            tasks.extend(wanted.map(|class| Task { image: all.len(), class }));
            let (id, file) = (picture.id.clone(), picture.file.clone());
            all.push(Shown { id, file, width: picture.width, height: picture.height });
        }
    }
    if tasks.is_empty() {
        bail!("there is nothing to ask: no image could be read, or none has a class that is asked for");
    }
    Ok((all, tasks))
}
