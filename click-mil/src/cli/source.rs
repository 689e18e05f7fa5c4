//! Where images come from: files and folders, a VOC folder, a COCO file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use common::device::Choice;

use crate::dataset::{Dataset, Picture};
use crate::edge_boxes;
use crate::formats::{coco, voc};

/// Endings of images, in any case.
const ENDINGS: [&str; 3] = ["jpg", "jpeg", "png"];

/// A data set with boxes.
#[derive(Debug, Args)]
pub(super) struct Annotated {
    /// Folder in PASCAL VOC's layout (Annotations, ImageSets/Main, JPEGImages)
    #[arg(long, value_name = "FOLDER", required_unless_present = "coco")]
    pub(super) voc: Option<PathBuf>,
    /// Split of the VOC folder
    #[arg(long, default_value = "trainval")]
    pub(super) split: String,
    /// COCO annotation file (JSON)
    #[arg(long, value_name = "FILE", conflicts_with = "voc", requires = "images")]
    pub(super) coco: Option<PathBuf>,
    /// Folder of the COCO file's images
    #[arg(long, value_name = "FOLDER")]
    pub(super) images: Option<PathBuf>,
}

/// What was read.
pub(super) enum Read {
    Voc(Dataset),
    Coco(coco::Numbered),
}

impl Read {
    pub(super) fn dataset(&self) -> &Dataset {
        match self {
            Self::Voc(dataset) => dataset,
            Self::Coco(numbered) => &numbered.dataset,
        }
    }
}

impl Annotated {
    /// The data set; what was mended is said on standard error.
    pub(super) fn read(&self) -> Result<Read> {
        if let Some(path) = &self.coco {
            let folder = self.images.clone().unwrap_or_default();
            let mut numbered = coco::read(path, &folder)?;
            for picture in &mut numbered.dataset.pictures {
                if picture.width == 0 || picture.height == 0 {
                    measure(picture)?;
                }
            }
            return Ok(Read::Coco(numbered));
        }
        let root = self.voc.as_deref().expect("clap asks for one of both");
        let read = voc::read(root, &self.split)?;
        read.notes.iter().for_each(|note| eprintln!("warning: {note}"));
        if read.dataset.pictures.is_empty() {
            bail!("{}: the split `{}` has no images", root.display(), self.split);
        }
        Ok(Read::Voc(read.dataset))
    }
}

/// Takes an image's size from its file.
fn measure(picture: &mut Picture) -> Result<()> {
    let size = image::image_dimensions(&picture.file);
    (picture.width, picture.height) =
        size.with_context(|| format!("measuring {}", picture.file.display()))?;
    Ok(())
}

/// Image files: those given, and those in the folders given, sorted.
pub(super) fn images(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    for path in paths {
        if !path.is_dir() {
            images.push(path.clone());
            continue;
        }
        let is_image = |name: &PathBuf| {
            let ending = name.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
        };
        let names = common::files::names_in(path)?;
        images.extend(names.into_iter().filter(is_image).map(|name| path.join(name)));
    }
    if images.is_empty() {
        bail!("no images; expected files or folders with {} files", ENDINGS.join(", "));
    }
    Ok(images)
}

/// Parameters of EdgeBoxes.
#[derive(Debug, Args)]
pub(super) struct EdgeBoxes {
    /// Overlap of neighbours in the sliding window
    #[arg(long, default_value_t = 0.65)]
    alpha: f32,
    /// Overlap above which the weaker of two proposals is dropped
    #[arg(long, default_value_t = 0.75)]
    beta: f32,
    /// Smallest score of a proposal
    #[arg(long, default_value_t = 0.01)]
    min_score: f32,
    /// Smallest window in square pixels; 150 for small objects
    #[arg(long, default_value_t = 1000.0)]
    min_box_area: f32,
}

impl EdgeBoxes {
    pub(super) fn config(&self) -> Result<edge_boxes::Config> {
        let Self { alpha, beta, min_score, min_box_area } = *self;
        let config =
            edge_boxes::Config { alpha, beta, min_score, min_box_area, ..edge_boxes::Config::authors() };
        config.validate()?;
        Ok(config)
    }
}

/// Where it runs.
#[derive(Debug, Args)]
pub(super) struct Machine {
    /// auto, cpu, cuda or cuda:NUMBER
    #[arg(long, default_value = "auto")]
    device: Choice,
    /// Threads [default: all cores, at most 4]
    #[arg(long)]
    threads: Option<usize>,
    /// No progress on standard error
    #[arg(long)]
    pub(super) quiet: bool,
}

impl Machine {
    /// The device, with the threads of libtorch and of our own loops set.
    pub(super) fn open(&self) -> Result<tch::Device> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        let threads = self.threads.unwrap_or(cores).max(1);
        tch::set_num_threads(threads as i32);
        // It can be set once only; a second command in one process keeps the first's.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        Ok(self.device.open()?)
    }
}

/// Name of a file for messages.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
