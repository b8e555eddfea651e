//! Keeping people apart from frame to frame.
//!
//! A detector looks at each frame anew, so whose face is whose has to be worked out. Faces are few
//! and large against what they move between frames: it is enough to expect each where its motion
//! leads and to give the nearest detection of like size to it, surest pairs first.

use serde::{Deserialize, Serialize};

use super::face::{Bounds, Face, KeyPoints};

/// How faces are followed. Times are in frames; the defaults suit 8 frames a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrackerConfig {
    /// Farthest a face may be found from where it is expected, in sides of the face.
    pub reach: f32,
    /// Largest change of a face's side from one detection to the next, as a factor above 1.
    pub growth: f32,
    /// Frames for which a face that isn't found is expected to keep moving, as behind somebody who
    /// passes; afterwards it is expected to stay where it is.
    pub coast: u32,
    /// Frames after which a face that isn't found is given up: whoever comes then is somebody else.
    pub patience: u32,
    /// Weight of a detection against what was expected, in (0, 1]: 1 doesn't smooth at all.
    pub gain: f32,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        Self::at_rate(8.0)
    }
}

impl TrackerConfig {
    /// The configuration for so many frames per second: coasting for 0.4 s, patience of 3 s.
    pub fn at_rate(frames_per_second: f64) -> Self {
        // The casts saturate, and no frame rate is a reason not to wait for one frame.
        let frames = |seconds: f64| ((seconds * frames_per_second).round() as u32).max(1);
        Self {
            reach: 1.0,
            growth: 1.6,
            coast: frames(0.4),
            patience: frames(3.0),
            gain: 0.5,
        }
    }
}

/// A person followed through frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// The person's number, never given to another by the same tracker.
    pub id: u64,
    /// The face, smoothed; where it is expected while it isn't found.
    pub face: Face,
    /// Frames since it was first found.
    pub age: u32,
    /// Frames in which it was found.
    pub found: u32,
    /// Frames since it was last found, 0 if it was found in this one.
    pub missed: u32,
    motion: Motion,
}

impl Track {
    fn new(id: u64, face: Face) -> Self {
        Self {
            id,
            face,
            age: 0,
            found: 1,
            missed: 0,
            motion: Motion::new(&face),
        }
    }
}

/// An α-β filter of a face's centre, and its smoothed size. The centre is expected to move on as it
/// moved, so smoothing doesn't make the box lag behind a steady motion.
#[derive(Clone, Debug, PartialEq)]
struct Motion {
    centre: [f32; 2],
    /// Pixels a frame.
    velocity: [f32; 2],
    size: [f32; 2],
    /// Detections that the velocity rests on.
    observations: u32,
    /// Key points from the centre, in sizes of the box, as last found.
    key_points: [[f32; 2]; 6],
}

impl Motion {
    fn new(face: &Face) -> Self {
        Self {
            centre: face.bounds.centre(),
            velocity: [0.0; 2],
            size: face.bounds.size(),
            observations: 1,
            key_points: relative(face),
        }
    }

    fn advance(&mut self) {
        for (centre, velocity) in self.centre.iter_mut().zip(self.velocity) {
            *centre += velocity;
        }
    }

    /// Takes in a detection `steps` frames after the last one.
    fn correct(&mut self, face: &Face, gain: f32, steps: u32) {
        self.observations = self.observations.saturating_add(1);
        // While there are few detections, the gains of a least-squares line through them; then
        // those with which position and velocity settle fastest (Benedict & Bordner, 1962).
        let n = self.observations as f32;
        let position_gain = (2.0 * (2.0 * n - 1.0) / (n * (n + 1.0))).max(gain).min(1.0);
        let velocity_gain = (6.0 / (n * (n + 1.0))).max(gain * gain / (2.0 - gain));
        let found = face.bounds.centre();
        for ((centre, velocity), found) in self.centre.iter_mut().zip(&mut self.velocity).zip(found)
        {
            let residual = found - *centre;
            *centre += position_gain * residual;
            *velocity += velocity_gain * residual / steps as f32;
        }
        for (size, found) in self.size.iter_mut().zip(face.bounds.size()) {
            *size += gain * (found - *size);
        }
        self.key_points = relative(face);
    }

    fn bounds(&self) -> Bounds {
        let ([x, y], [width, height]) = (self.centre, self.size);
        Bounds {
            x1: x - width / 2.0,
            y1: y - height / 2.0,
            x2: x + width / 2.0,
            y2: y + height / 2.0,
        }
    }

    fn face(&self, score: f32) -> Face {
        let points = self.key_points.map(|[x, y]| {
            [
                self.centre[0] + x * self.size[0],
                self.centre[1] + y * self.size[1],
            ]
        });
        Face {
            bounds: self.bounds(),
            key_points: KeyPoints::from(points),
            score,
        }
    }
}

/// Key points from the centre of the box, in sizes of the box.
fn relative(face: &Face) -> [[f32; 2]; 6] {
    let ([x, y], [width, height]) = (face.bounds.centre(), face.bounds.size());
    face.key_points
        .points()
        .map(|[px, py]| [(px - x) / width.max(1.0), (py - y) / height.max(1.0)])
}

/// Follows the faces of one stream of frames.
#[derive(Clone, Debug)]
pub struct Tracker {
    config: TrackerConfig,
    tracks: Vec<Track>,
    next_id: u64,
}

impl Tracker {
    /// A tracker that knows nobody yet.
    pub fn new(config: TrackerConfig) -> Self {
        Self {
            config,
            tracks: Vec::new(),
            next_id: 1,
        }
    }

    /// Takes in the faces found in the next frame, of `[width, height]` pixels, and gives everybody
    /// who is known now, in order of first appearance: those found in this frame and those still
    /// waited for ([`Track::missed`]). A face whose box has no area or is not finite is passed over.
    pub fn update(&mut self, faces: &[Face], picture: [u32; 2]) -> &[Track] {
        for track in &mut self.tracks {
            track.age = track.age.saturating_add(1);
            if track.missed <= self.config.coast {
                track.motion.advance();
            }
        }
        let assigned = self.assign(faces);
        let mut owners: Vec<Option<usize>> = vec![None; faces.len()];
        for (track, face) in assigned {
            if let Some(owner) = owners.get_mut(face) {
                *owner = Some(track);
            }
        }
        for track in &mut self.tracks {
            track.missed = track.missed.saturating_add(1);
        }
        for (face, owner) in faces.iter().zip(owners) {
            match owner.and_then(|owner| self.tracks.get_mut(owner)) {
                Some(track) => see(track, face, &self.config),
                None if is_usable(face) => {
                    self.tracks.push(Track::new(self.next_id, *face));
                    self.next_id += 1;
                }
                None => {}
            }
        }
        for track in &mut self.tracks {
            track.face = track.motion.face(track.face.score);
        }
        let patience = self.config.patience;
        self.tracks.retain(|track| {
            // Whoever walks out isn't waited for: the next to come in there is somebody else.
            track.missed == 0
                || (track.missed <= patience && contains(picture, track.motion.centre))
        });
        &self.tracks
    }

    /// Everybody who is known.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The person of that number, if still known.
    pub fn track(&self, id: u64) -> Option<&Track> {
        self.tracks.iter().find(|track| track.id == id)
    }

    /// Pairs of track and face, each in at most one, the best pairs first.
    fn assign(&self, faces: &[Face]) -> Vec<(usize, usize)> {
        let mut pairs = Vec::new();
        for (track_index, track) in self.tracks.iter().enumerate() {
            for (face_index, face) in faces.iter().enumerate() {
                if let Some(affinity) = self.affinity(track, face) {
                    pairs.push((affinity, track_index, face_index));
                }
            }
        }
        // Stable, so that a tie goes to who was known first.
        pairs.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
        let mut taken_tracks = vec![false; self.tracks.len()];
        let mut taken_faces = vec![false; faces.len()];
        let mut assigned = Vec::new();
        for (_, track, face) in pairs {
            if !taken_tracks[track] && !taken_faces[face] {
                taken_tracks[track] = true;
                taken_faces[face] = true;
                assigned.push((track, face));
            }
        }
        assigned
    }

    /// How well a face fits where a track is expected; `None` where it can't be the same person.
    fn affinity(&self, track: &Track, face: &Face) -> Option<f32> {
        /// What somebody who wasn't found in the last frame has to be nearer by, against somebody
        /// who was, in sides of the face.
        const DOUBT: f32 = 0.25;
        if !is_usable(face) {
            return None;
        }
        let expected = track.motion.bounds();
        let [side, other] = [expected, face.bounds].map(|bounds| bounds.area().sqrt());
        let ([x1, y1], [x2, y2]) = (expected.centre(), face.bounds.centre());
        let distance = (x1 - x2).hypot(y1 - y2) / ((side + other) / 2.0);
        let growth = (side / other).max(other / side);
        if distance > self.config.reach || growth > self.config.growth {
            return None;
        }
        let doubt = if track.missed > 0 { DOUBT } else { 0.0 };
        Some(expected.iou(&face.bounds) - distance - doubt)
    }
}

/// Takes a detection into the track that it belongs to.
fn see(track: &mut Track, face: &Face, config: &TrackerConfig) {
    // `missed` counts this frame already.
    if track.missed > config.coast.saturating_add(1) {
        // Found again after it was expected to stand still: what its motion was says nothing now.
        track.motion = Motion::new(face);
    } else {
        track.motion.correct(face, config.gain, track.missed);
    }
    track.face.score = face.score;
    track.found = track.found.saturating_add(1);
    track.missed = 0;
}

/// A box without area or with an edge that is no number can't be followed.
fn is_usable(face: &Face) -> bool {
    face.bounds.is_finite() && face.bounds.area() > 0.0
}

fn contains([width, height]: [u32; 2], [x, y]: [f32; 2]) -> bool {
    (0.0..=width as f32).contains(&x) && (0.0..=height as f32).contains(&y)
}

#[cfg(test)]
mod tests;
