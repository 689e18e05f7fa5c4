//! OpenCV's EdgeBoxes and structured edges for `click-mil`, which starts this program and asks by its pipes.
//!
//! usage: `click-mil-opencv [MODEL]`, with the model file of structured edges.

use std::io::{self, BufWriter};
use std::process::ExitCode;

use click_mil::edge_boxes::Config;
use click_mil::opencv::{Job, Refusal, Reply, Request, read_request, write_reply};
use opencv::core::{CV_32F, CV_32FC3, Mat, Ptr, Rect, Vector};
use opencv::prelude::*;
use opencv::ximgproc::{self, StructuredEdgeDetection};

type Detector = Option<Ptr<StructuredEdgeDetection>>;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        // The other side has gone: nobody is there to be told.
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), BufWriter::new(io::stdout().lock()));
    let detector = match std::env::args().nth(1).map(|path| model(&path)).transpose() {
        Ok(detector) => detector,
        Err(refusal) => return write_reply(&mut output, &Err(refusal)),
    };
    write_reply(&mut output, &Ok(Vec::new()))?;
    while let Some((request, numbers)) = read_request(&mut input)? {
        write_reply(&mut output, &answer(&request, &numbers, &detector))?;
    }
    Ok(())
}

/// OpenCV ends the program at a file that is not there, so it is opened here first.
fn model(path: &str) -> Result<Ptr<StructuredEdgeDetection>, Refusal> {
    let wrong = |problem: String| {
        Refusal(format!("{path}: {problem}; expected the model file of structured edges, `model.yml.gz`"))
    };
    std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let detector = ximgproc::create_structured_edge_detection_def(path);
    detector.map_err(|error| wrong(words(&error)))
}

fn words(error: &opencv::Error) -> String {
    error.message.lines().next().unwrap_or_default().to_owned()
}

fn answer(request: &Request, numbers: &[f32], detector: &Detector) -> Reply {
    let found = match (&request.job, detector) {
        (Job::Boxes { config }, _) => boxes(request, numbers, config),
        (Job::Edges, Some(detector)) => edges(request, numbers, detector),
        (Job::Edges, None) => return Err(Refusal("structured edges need a model file".to_owned())),
    };
    found.map_err(|error| Refusal(words(&error)))
}

fn boxes(request: &Request, numbers: &[f32], config: &Config) -> opencv::Result<Vec<f32>> {
    let (strength, orientation) = numbers.split_at(request.width * request.height);
    let [strength, orientation] = [strength, orientation].map(|values| plane(request, values));
    let most = i32::try_from(config.max_boxes).unwrap_or(i32::MAX);
    let mut finder = ximgproc::create_edge_boxes(
        config.alpha,
        config.beta,
        config.eta,
        config.min_score,
        most,
        config.edge_min_mag,
        config.edge_merge_thr,
        config.cluster_min_mag,
        config.max_aspect_ratio,
        config.min_box_area,
        config.gamma,
        config.kappa,
    )?;
    let (mut found, mut scores) = (Vector::<Rect>::new(), Vector::<f32>::new());
    finder.get_bounding_boxes(&strength?, &orientation?, &mut found, &mut scores)?;
    let row = |(bbox, score): (Rect, f32)| {
        [bbox.x as f32, bbox.y as f32, bbox.width as f32, bbox.height as f32, score]
    };
    Ok(found.iter().zip(scores.iter()).flat_map(row).collect())
}

fn edges(
    request: &Request,
    pixels: &[f32],
    detector: &Ptr<StructuredEdgeDetection>,
) -> opencv::Result<Vec<f32>> {
    let image = Mat::new_rows_cols_with_data(request.height as i32, (3 * request.width) as i32, pixels)?;
    let image = image.reshape(3, request.height as i32)?.try_clone()?;
    debug_assert_eq!(image.typ(), CV_32FC3);
    let (mut strength, mut orientation, mut thin) = (Mat::default(), Mat::default(), Mat::default());
    detector.detect_edges(&image, &mut strength)?;
    detector.compute_orientation(&strength, &mut orientation)?;
    // Radius 2, no fading at the border, multiplier 1: OpenCV's and the authors' defaults.
    detector.edges_nms(&strength, &orientation, &mut thin, 2, 0, 1.0, false)?;
    let mut both = Vec::with_capacity(2 * request.width * request.height);
    for plane in [&thin, &orientation] {
        debug_assert_eq!(plane.typ(), CV_32F);
        both.extend_from_slice(plane.try_clone()?.data_typed::<f32>()?);
    }
    Ok(both)
}

/// A plane of numbers by rows.
fn plane(request: &Request, values: &[f32]) -> opencv::Result<Mat> {
    Mat::new_rows_cols_with_data(request.height as i32, request.width as i32, values)?.try_clone()
}
