//! A video's frames as JPEG files.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::{DecodeError, DecodeFault};
use super::video::{VideoInfo, check_file, local, start_fault, video_fault};

/// Containers that videos come in. FFmpeg would read much else under a video's name, playlists that
/// open other files and pictures of any size among it.
const CONTAINERS: &str = "3g2,3gp,asf,avi,flv,ivf,m4a,matroska,mj2,mov,mp4,mpeg,mpegts,mpegvideo,nut,\
                          ogg,rm,swf,webm";
/// Most pixels of a frame: twice an 8K picture.
const LARGEST_FRAME: u32 = 1 << 26;

/// How frames are taken out of a video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameFiles {
    /// Frames per second of the result.
    pub rate: f64,
    /// FFmpeg's JPEG quality, from 2, the best, to 31.
    pub quality: u8,
    /// Length in pixels to which the shorter side is scaled down; none keeps the size.
    pub shorter_side: Option<u32>,
    /// Seconds of a video that are read at most, so that a broken timestamp can't fill the disk.
    pub longest_secs: f64,
}

impl FrameFiles {
    /// Seconds that a video says it is long, if it does.
    pub fn declared_secs(video: &Path) -> Option<f64> {
        VideoInfo::of_container(video, Some(CONTAINERS))
            .ok()?
            .duration
    }

    /// Writes the frames of a video into a folder as `00000000.jpg`, `00000001.jpg`, …: number n is
    /// what is shown at n / `rate` seconds of the file. Videos of varying rate are resampled by their
    /// timestamps, and rotated ones turned upright. Gives FFmpeg's complaints, if any.
    ///
    /// # Errors
    /// A missing, empty or unreadable file, one without pictures, no `ffmpeg`.
    pub fn write(&self, video: &Path, folder: &Path) -> Result<String, DecodeError> {
        check_file(video)?;
        // Frame 0 is at second 0 of the file, even where the pictures start after the sound.
        let mut filter = format!("fps={}:start_time=0", self.rate);
        if let Some(side) = self.shorter_side {
            // Even lengths, for the chroma planes; never enlarged.
            filter.push_str(&format!(
                ",scale=w='if(gt(iw,ih),-2,min(iw,{side}))':h='if(gt(iw,ih),min(ih,{side}),-2)':flags=bicubic"
            ));
        }
        let frames = (self.longest_secs * self.rate).ceil().max(1.0);
        // One thread a video: many are read at once, and the bytes don't depend on the machine.
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-threads", "1"])
            .args([
                "-protocol_whitelist",
                "file,pipe",
                "-format_whitelist",
                CONTAINERS,
            ])
            .args(["-max_pixels", &LARGEST_FRAME.to_string(), "-i"])
            .arg(local(video))
            .args([
                "-map",
                "0:V:0",
                "-vf",
                &filter,
                "-frames:v",
                &format!("{frames:.0}"),
            ])
            .args([
                "-threads",
                "1",
                "-bitexact",
                "-flags",
                "+bitexact",
                "-c:v",
                "mjpeg",
            ])
            .args(["-pix_fmt", "yuvj420p", "-q:v", &self.quality.to_string()])
            .args(["-start_number", "0", "-f", "image2"])
            .arg(pattern(folder))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .output()
            .map_err(|error| start_fault("ffmpeg", error).at(video))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        // A file of sound alone is told apart from a damaged one.
        match VideoInfo::of_container(video, Some(CONTAINERS)) {
            Err(error) if matches!(error.fault, DecodeFault::NoFrames(_)) => Err(error),
            _ => Err(video_fault(&output.stderr, video).at(video)),
        }
    }
}

/// Where the frames go; a per cent sign in a folder's name is no place for a number.
fn pattern(folder: &Path) -> OsString {
    let mut pattern = OsString::from("file:");
    let folder = folder.as_os_str().to_string_lossy().replace('%', "%%");
    pattern.push(folder);
    pattern.push("/%08d.jpg");
    pattern
}
