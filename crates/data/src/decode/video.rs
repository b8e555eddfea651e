//! Videos through the programs `ffmpeg` and `ffprobe`.
//!
//! Every camera and every editor writes another mixture of container and codec; FFmpeg reads them
//! all, and as a program of its own it takes neither a C compiler nor a system library to build
//! this one. Frames come through a pipe as PPM pictures, one after the other, so that a video of
//! any length takes the memory of one frame, and each frame says its own size (a phone's video is
//! turned upright on the way, which swaps width and height).

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use image::RgbImage;
use serde::Deserialize;

use super::Frame;
use super::error::{DecodeError, DecodeFault};
use super::picture::{LARGEST_PICTURE, LARGEST_SIDE};

/// Frames per second where a video does not tell its own rate.
const FALLBACK_RATE: f64 = 25.0;
/// Rates beyond this are timebases that a container passes off as a frame rate.
pub(super) const LARGEST_RATE: f64 = 1000.0;
/// Most bytes of FFmpeg's messages that are kept.
const KEPT_MESSAGES: usize = 4096;

/// What `ffprobe` says about a video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VideoInfo {
    /// Frames per second, the mean where it varies.
    pub rate: f64,
    /// Seconds, where the file says so.
    pub duration: Option<f64>,
}

impl VideoInfo {
    /// Asks `ffprobe`.
    ///
    /// # Errors
    /// A missing, empty or unreadable file, one without pictures, no `ffprobe`.
    pub fn of(path: &Path) -> Result<Self, DecodeError> {
        Self::of_container(path, None)
    }

    /// As [`VideoInfo::of`], of a file in one of some containers, by FFmpeg's names for them.
    pub(super) fn of_container(path: &Path, containers: Option<&str>) -> Result<Self, DecodeError> {
        check_file(path)?;
        let allowed = containers.map(|names| ["-format_whitelist", names]);
        let fields = "stream=avg_frame_rate,r_frame_rate,duration:format=duration";
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-protocol_whitelist", "file,pipe"])
            .args(allowed.into_iter().flatten())
            .args(["-select_streams", "V:0", "-show_entries", fields])
            .args(["-of", "json", "-i"])
            .arg(local(path))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| start_fault("ffprobe", error).at(path))?;
        if !output.status.success() {
            return Err(video_fault(&output.stderr, path).at(path));
        }
        let report: ProbeReport = serde_json::from_slice(&output.stdout)
            .map_err(|error| DecodeFault::Video(format!("ffprobe: {error}")).at(path))?;
        report.info().map_err(|fault| fault.at(path))
    }
}

/// The part of `ffprobe`'s answer that is asked for.
#[derive(Deserialize)]
struct ProbeReport {
    #[serde(default)]
    streams: Vec<ProbeStream>,
    #[serde(default)]
    format: ProbeFormat,
}

#[derive(Deserialize)]
struct ProbeStream {
    avg_frame_rate: Option<String>,
    r_frame_rate: Option<String>,
    duration: Option<String>,
}

#[derive(Default, Deserialize)]
struct ProbeFormat {
    duration: Option<String>,
}

impl ProbeReport {
    fn info(&self) -> Result<VideoInfo, DecodeFault> {
        let Some(stream) = self.streams.first() else {
            return Err(DecodeFault::NoFrames("the file holds no video stream"));
        };
        let rates = [&stream.avg_frame_rate, &stream.r_frame_rate];
        let rate = rates
            .into_iter()
            .find_map(|rate| fraction(rate.as_deref()?))
            .unwrap_or(FALLBACK_RATE);
        let durations = [&stream.duration, &self.format.duration];
        let duration = durations
            .into_iter()
            .find_map(|text| text.as_deref()?.parse().ok())
            .filter(|seconds: &f64| seconds.is_finite() && *seconds > 0.0);
        Ok(VideoInfo { rate, duration })
    }
}

/// `30000/1001`; `None` for `0/0` and for what is no rate.
fn fraction(text: &str) -> Option<f64> {
    let (numerator, denominator) = text.split_once('/')?;
    let rate = numerator.parse::<f64>().ok()? / denominator.parse::<f64>().ok()?;
    (rate > 0.0 && rate <= LARGEST_RATE).then_some(rate)
}

/// The frames of a video, at equal distances in time.
///
/// A frame costs memory only while it is held. Dropping the reader ends FFmpeg.
#[derive(Debug)]
pub struct VideoFrames {
    path: std::path::PathBuf,
    rate: f64,
    next: usize,
    process: Child,
    pictures: BufReader<ChildStdout>,
    messages: Option<JoinHandle<Vec<u8>>>,
    ended: bool,
}

impl VideoFrames {
    /// Opens a video at `rate` frames per second; without one, at its own rate.
    ///
    /// # Errors
    /// As [`VideoInfo::of`], no `ffmpeg`, and a rate that no video is read at.
    pub fn open(path: &Path, rate: Option<f64>) -> Result<Self, DecodeError> {
        let rate = match rate {
            Some(rate) => {
                check_rate(rate).map_err(|fault| fault.at(path))?;
                check_file(path)?;
                rate
            }
            None => VideoInfo::of(path)?.rate,
        };
        let mut process = Command::new("ffmpeg")
            .args([
                "-v",
                "error",
                "-nostdin",
                "-protocol_whitelist",
                "file,pipe",
            ])
            .arg("-i")
            .arg(local(path))
            // A capital V leaves out cover pictures.
            .args(["-map", "0:V:0", "-vf", &format!("fps={rate}")])
            .args([
                "-f",
                "image2pipe",
                "-c:v",
                "ppm",
                "-pix_fmt",
                "rgb24",
                "pipe:1",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| start_fault("ffmpeg", error).at(path))?;
        let no_pipe = || DecodeFault::Video("ffmpeg gave no output".to_owned()).at(path);
        let pictures = BufReader::new(process.stdout.take().ok_or_else(no_pipe)?);
        let mut stderr = process.stderr.take().ok_or_else(no_pipe)?;
        // Read beside the frames: FFmpeg stops when nobody takes its messages.
        let messages = std::thread::spawn(move || {
            let mut kept = Vec::new();
            let mut part = [0; 1024];
            while let Ok(length @ 1..) = stderr.read(&mut part) {
                kept.extend(part.iter().take(length));
                let surplus = kept.len().saturating_sub(KEPT_MESSAGES);
                kept.drain(..surplus);
            }
            kept
        });
        Ok(Self {
            path: path.to_owned(),
            rate,
            next: 0,
            process,
            pictures,
            messages: Some(messages),
            ended: false,
        })
    }

    /// Frames per second that this reader gives.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    fn read_frame(&mut self) -> Result<Option<Frame>, DecodeFault> {
        let Some([width, height]) = read_header(&mut self.pictures)? else {
            return self.finish().map(|()| None);
        };
        let mut pixels = vec![0; width as usize * height as usize * 3];
        if let Err(error) = self.pictures.read_exact(&mut pixels) {
            self.finish()?;
            return Err(DecodeFault::Video(error.to_string()));
        }
        let picture = RgbImage::from_raw(width, height, pixels)
            .ok_or_else(|| DecodeFault::Video("a frame of no known size".to_owned()))?;
        let time = self.next as f64 / self.rate;
        self.next += 1;
        Ok(Some(Frame { time, picture }))
    }

    /// What FFmpeg said at the end. A video that breaks off still gave the frames before.
    fn finish(&mut self) -> Result<(), DecodeFault> {
        let status = self.process.wait().map_err(DecodeFault::Read)?;
        let messages = self.messages.take().map(JoinHandle::join);
        let messages = messages.and_then(Result::ok).unwrap_or_default();
        if !status.success() {
            // A file of sound alone is told apart from a damaged one.
            let probed = (self.next == 0).then(|| VideoInfo::of(&self.path));
            return Err(match probed {
                Some(Err(DecodeError {
                    fault: fault @ DecodeFault::NoFrames(_),
                    ..
                })) => fault,
                _ => video_fault(&messages, &self.path),
            });
        }
        if self.next == 0 {
            return Err(DecodeFault::NoFrames("the video holds no frame"));
        }
        Ok(())
    }
}

impl Iterator for VideoFrames {
    type Item = Result<Frame, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let frame = self.read_frame();
        self.ended = !matches!(frame, Ok(Some(_)));
        frame.map_err(|fault| fault.at(&self.path)).transpose()
    }
}

impl Drop for VideoFrames {
    fn drop(&mut self) {
        // An error here means that it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Width and height of the next PPM picture; `None` at the end.
fn read_header(reader: &mut impl BufRead) -> Result<Option<[u32; 2]>, DecodeFault> {
    let mut words = Vec::new();
    let mut line = Vec::new();
    while words.len() < 4 {
        line.clear();
        // A header line has a few characters; a longer one is no header.
        let mut limited = reader.take(64);
        let length = limited
            .read_until(b'\n', &mut line)
            .map_err(DecodeFault::Read)?;
        if length == 0 && words.is_empty() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line);
        if length == 0 || !text.ends_with('\n') {
            return Err(DecodeFault::Video("ffmpeg gave no PPM pictures".to_owned()));
        }
        words.extend(text.split_whitespace().map(str::to_owned));
    }
    let [kind, width, height, depth] = words.as_slice() else {
        return Err(DecodeFault::Video("ffmpeg gave no PPM pictures".to_owned()));
    };
    let side = |text: &str| text.parse::<u32>().ok().filter(|side| *side > 0);
    match (kind.as_str(), side(width), side(height), depth.as_str()) {
        ("P6", Some(width), Some(height), "255") => {
            let bytes = u64::from(width) * u64::from(height) * 3;
            if width > LARGEST_SIDE || height > LARGEST_SIDE || bytes > LARGEST_PICTURE {
                return Err(DecodeFault::TooLarge(format!("{width} × {height} pixels")));
            }
            Ok(Some([width, height]))
        }
        _ => Err(DecodeFault::Video("ffmpeg gave no PPM pictures".to_owned())),
    }
}

/// The path as a local file, whatever characters it starts with.
pub(super) fn local(path: &Path) -> std::ffi::OsString {
    let mut name = std::ffi::OsString::from("file:");
    name.push(path);
    name
}

pub(super) fn check_file(path: &Path) -> Result<(), DecodeError> {
    let metadata = std::fs::metadata(path).map_err(|error| DecodeFault::from(error).at(path))?;
    if metadata.len() == 0 {
        return Err(DecodeFault::Empty.at(path));
    }
    Ok(())
}

/// Refuses frames per second that no video is read at.
pub(super) fn check_rate(rate: f64) -> Result<(), DecodeFault> {
    if rate > 0.0 && rate <= LARGEST_RATE {
        Ok(())
    } else {
        Err(DecodeFault::Rate(rate))
    }
}

pub(super) fn start_fault(program: &'static str, error: std::io::Error) -> DecodeFault {
    if error.kind() == std::io::ErrorKind::NotFound {
        DecodeFault::NoProgram(program)
    } else {
        DecodeFault::Video(format!("{program} cannot be started: {error}"))
    }
}

/// The last line that the program wrote, without the file's name in it.
pub(super) fn video_fault(messages: &[u8], path: &Path) -> DecodeFault {
    let text = String::from_utf8_lossy(messages);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.unwrap_or("ffmpeg gave no reason").trim();
    let name = format!("file:{}: ", path.display());
    DecodeFault::Video(last.replace(&name, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_fractions_and_nonsense_is_none() {
        assert_eq!(fraction("30/1"), Some(30.0));
        assert!((fraction("30000/1001").unwrap() - 29.97).abs() < 1e-3);
        for text in ["0/0", "25", "-5/1", "90000/1", "x/y"] {
            assert_eq!(fraction(text), None, "{text}");
        }
    }

    #[test]
    fn a_ppm_header_is_read_and_anything_else_refused() {
        let read = |bytes: &[u8]| read_header(&mut &bytes[..]);
        assert_eq!(read(b"P6\n4 3\n255\nxyz").unwrap(), Some([4, 3]));
        assert_eq!(read(b"").unwrap(), None);
        for bytes in [&b"P6\n4 3\n"[..], b"P5\n4 3\n255\n", b"P6\n0 3\n255\n"] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        let huge = read(b"P6\n99999 99999\n255\n").unwrap_err();
        assert!(matches!(huge, DecodeFault::TooLarge(_)));
    }

    #[test]
    fn a_report_without_streams_says_so() {
        let report: ProbeReport = serde_json::from_str("{}").unwrap();
        assert!(matches!(report.info(), Err(DecodeFault::NoFrames(_))));
    }

    #[test]
    fn a_rate_that_no_video_has_is_refused() {
        for rate in [1000.5, 0.0, -8.0, f64::INFINITY, f64::NAN] {
            let error = VideoFrames::open(Path::new("a.mp4"), Some(rate)).unwrap_err();
            assert!(matches!(error.fault, DecodeFault::Rate(_)), "{error}");
        }
        assert!(check_rate(1000.0).is_ok());
        assert_eq!(
            DecodeFault::Rate(5000.0).at(Path::new("a.mp4")).to_string(),
            "a.mp4: cannot be read at 5000 frames a second; give a rate above 0, up to 1000"
        );
    }

    mod needs_ffmpeg {
        use super::*;

        #[test]
        fn a_cover_picture_is_no_video() {
            let folder = tempfile::tempdir().unwrap();
            let (cover, song) = (folder.path().join("a.png"), folder.path().join("a.mp4"));
            RgbImage::new(16, 16).save(&cover).unwrap();
            let tone = ["-f", "lavfi", "-i", "sine=440:duration=0.2"];
            let status = Command::new("ffmpeg")
                .args(["-v", "error", "-nostdin"])
                .args(tone)
                .arg("-i")
                .arg(&cover)
                .args(["-map", "0", "-map", "1", "-c:v", "copy"])
                .args(["-disposition:v:0", "attached_pic"])
                .arg(&song)
                .status()
                .unwrap();
            assert!(status.success());
            let mut frames = VideoFrames::open(&song, Some(8.0)).unwrap();
            let fault = frames.next().unwrap().unwrap_err().fault;
            assert_eq!(
                fault.to_string(),
                "the file holds no video stream; give one with at least one frame"
            );
            assert!(frames.next().is_none());
        }
    }
}
