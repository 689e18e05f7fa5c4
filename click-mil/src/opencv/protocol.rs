//! What the command and OpenCV's program say to each other: a line of JSON, then numbers in little-endian f32.

use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};

use crate::edge_boxes::Config;

/// What is asked of OpenCV.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// EdgeBoxes of strengths and orientations; the answer is a row `x, y, width, height, score` per box.
    Boxes {
        /// Parameters.
        config: Config,
    },
    /// Structured edges of pixels (red, green, blue in [0, 1]); the answer is strengths and orientations.
    Edges,
}

/// A question; its numbers follow: two or three per pixel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What.
    pub job: Job,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Request {
    fn numbers(&self) -> usize {
        let per_pixel = if matches!(self.job, Job::Boxes { .. }) { 2 } else { 3 };
        self.width * self.height * per_pixel
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal(pub String);

/// Numbers, or why there are none.
pub type Reply = Result<Vec<f32>, Refusal>;

/// Writes a question.
///
/// # Errors
/// Those of the pipe.
pub fn write_request(out: &mut impl Write, request: &Request, numbers: &[f32]) -> io::Result<()> {
    line(out, request)?;
    write_numbers(out, numbers)
}

/// Reads a question; `None` at the end.
///
/// # Errors
/// Those of the pipe, and a line that is no question.
pub fn read_request(from: &mut impl BufRead) -> io::Result<Option<(Request, Vec<f32>)>> {
    let mut text = String::new();
    if from.read_line(&mut text)? == 0 {
        return Ok(None);
    }
    let request: Request = serde_json::from_str(&text)?;
    let numbers = read_numbers(from, request.numbers())?;
    Ok(Some((request, numbers)))
}

/// Writes an answer.
///
/// # Errors
/// Those of the pipe.
pub fn write_reply(out: &mut impl Write, reply: &Reply) -> io::Result<()> {
    line(out, &reply.as_ref().map(Vec::len))?;
    write_numbers(out, reply.as_deref().unwrap_or_default())
}

/// Reads an answer.
///
/// # Errors
/// Those of the pipe, among them its end, and a line that is no answer.
pub fn read_reply(from: &mut impl BufRead) -> io::Result<Reply> {
    let mut text = String::new();
    if from.read_line(&mut text)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match serde_json::from_str::<Result<usize, Refusal>>(&text)? {
        Ok(n) => Ok(Ok(read_numbers(from, n)?)),
        Err(refusal) => Ok(Err(refusal)),
    }
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

fn write_numbers(out: &mut impl Write, numbers: &[f32]) -> io::Result<()> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    out.write_all(&bytes)?;
    out.flush()
}

fn read_numbers(from: &mut impl Read, n: usize) -> io::Result<Vec<f32>> {
    let mut bytes = vec![0; 4 * n];
    from.read_exact(&mut bytes)?;
    Ok(bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_come_back() {
        let request = Request { job: Job::Boxes { config: Config::authors() }, width: 2, height: 1 };
        let mut pipe = Vec::new();
        write_request(&mut pipe, &request, &[0.5, 1.0, 2.0, 3.0]).unwrap();
        let mut from = &pipe[..];
        assert_eq!(read_request(&mut from).unwrap(), Some((request, vec![0.5, 1.0, 2.0, 3.0])));
        assert_eq!(read_request(&mut from).unwrap(), None);
        for reply in [Ok(vec![1.5, -2.0]), Err(Refusal("no\nmodel".into()))] {
            let mut pipe = Vec::new();
            write_reply(&mut pipe, &reply).unwrap();
            assert_eq!(read_reply(&mut &pipe[..]).unwrap(), reply);
            assert!(read_reply(&mut &pipe[..pipe.len() - 2]).is_err());
        }
    }
}
