use super::*;

const PICTURE: [u32; 2] = [640, 360];

/// A face of `side` pixels around a centre.
fn face(x: f32, y: f32, side: f32) -> Face {
    let half = side / 2.0;
    Face {
        bounds: Bounds {
            x1: x - half,
            y1: y - half,
            x2: x + half,
            y2: y + half,
        },
        key_points: KeyPoints::from([[x, y + half]; 6]),
        score: 0.9,
    }
}

fn tracker() -> Tracker {
    Tracker::new(TrackerConfig::default())
}

/// `(id, centre x)` of everybody found in the last frame, in order of their number.
fn seen(tracker: &Tracker) -> Vec<(u64, f32)> {
    let found = tracker.tracks().iter().filter(|track| track.missed == 0);
    found
        .map(|track| (track.id, track.face.bounds.centre()[0]))
        .collect()
}

#[test]
fn two_who_cross_keep_their_numbers_though_one_is_hidden() {
    let mut tracker = tracker();
    for step in 0..=20 {
        // 20 pixels a frame, a quarter of a face; they meet at 320 in frame 10.
        let (right, left) = (120.0 + 20.0 * step as f32, 520.0 - 20.0 * step as f32);
        let faces = if (right - left).abs() < 60.0 {
            // The one in front hides the other.
            vec![face(left, 180.0, 80.0)]
        } else {
            vec![face(right, 180.0, 80.0), face(left, 184.0, 80.0)]
        };
        tracker.update(&faces, PICTURE);
        assert_eq!(tracker.tracks().len(), 2, "step {step}");
    }
    let seen = seen(&tracker);
    let ids: Vec<u64> = seen.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [1, 2]);
    // Person 1 walked right and person 2 left.
    assert!((seen[0].1 - 520.0).abs() < 10.0, "{seen:?}");
    assert!((seen[1].1 - 120.0).abs() < 10.0, "{seen:?}");
}

#[test]
fn who_walks_out_is_gone_and_who_walks_in_is_somebody_else() {
    let mut tracker = tracker();
    for step in 0..8 {
        let walking = 480.0 + 20.0 * step as f32;
        let faces = [face(200.0, 180.0, 80.0), face(walking, 180.0, 80.0)];
        tracker.update(&faces, PICTURE);
    }
    assert_eq!(seen(&tracker).len(), 2);
    // At 640 half the face is outside and no longer found.
    for _ in 0..3 {
        tracker.update(&[face(200.0, 180.0, 80.0)], PICTURE);
    }
    assert_eq!(tracker.tracks().len(), 1, "{:?}", tracker.tracks());
    tracker.update(
        &[face(200.0, 180.0, 80.0), face(610.0, 180.0, 80.0)],
        PICTURE,
    );
    let ids: Vec<u64> = tracker.tracks().iter().map(|track| track.id).collect();
    assert_eq!(ids, [1, 3]);
}

#[test]
fn a_face_found_again_after_a_short_gap_keeps_its_number() {
    let patience = TrackerConfig::default().patience;
    for (gap, kept) in [(1, true), (patience, true), (patience + 1, false)] {
        let mut tracker = tracker();
        for _ in 0..5 {
            tracker.update(&[face(300.0, 100.0, 60.0)], PICTURE);
        }
        for missed in 1..=gap {
            let tracks = tracker.update(&[], PICTURE);
            assert_eq!(
                tracks.first().map(|track| track.missed),
                (missed <= patience).then_some(missed)
            );
        }
        let tracks = tracker.update(&[face(310.0, 104.0, 60.0)], PICTURE);
        assert_eq!(tracks.len(), 1);
        assert_eq!(tracks[0].id == 1, kept, "gap {gap}");
        assert_eq!(tracks[0].missed, 0);
        assert_eq!(tracks[0].found, if kept { 6 } else { 1 });
    }
}

#[test]
fn a_face_that_jumps_far_or_changes_size_is_somebody_else() {
    for other in [face(380.0, 100.0, 60.0), face(300.0, 100.0, 130.0)] {
        let mut tracker = tracker();
        tracker.update(&[face(300.0, 100.0, 60.0)], PICTURE);
        tracker.update(&[other], PICTURE);
        assert_eq!(seen(&tracker)[0].0, 2);
        assert_eq!(tracker.track(1).map(|track| track.missed), Some(1));
    }
    // Within reach it is the same.
    let mut tracker = tracker();
    tracker.update(&[face(300.0, 100.0, 60.0)], PICTURE);
    tracker.update(&[face(340.0, 100.0, 70.0)], PICTURE);
    assert_eq!(tracker.tracks().len(), 1);
}

#[test]
fn neighbours_are_paired_by_the_nearest_not_by_the_order_of_detections() {
    let mut tracker = tracker();
    let at = |x: f32| face(x, 180.0, 60.0);
    tracker.update(&[at(100.0), at(170.0), at(240.0)], PICTURE);
    tracker.update(&[at(235.0), at(110.0), at(175.0)], PICTURE);
    let ids: Vec<u64> = seen(&tracker).iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [1, 2, 3]);
    let places: Vec<f32> = seen(&tracker).iter().map(|(_, x)| *x).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn smoothing_halves_jitter_and_does_not_lag_behind_steady_motion() {
    let mut tracker = tracker();
    let (mut raw, mut smooth) = (0.0, 0.0);
    for step in 0..60 {
        // Two pixels of jitter with a period of seven frames, around a steady motion.
        let truth = 60.0 + 8.0 * step as f32;
        let jitter = [2.0, -1.0, -2.0, 1.0, 2.0, -2.0, 0.0][step % 7];
        tracker.update(&[face(truth + jitter, 180.0, 80.0)], PICTURE);
        if step >= 10 {
            let [x, _] = tracker.tracks()[0].face.bounds.centre();
            raw += jitter * jitter;
            smooth += (x - truth).powi(2);
        }
    }
    assert!(smooth < 0.5 * raw, "{smooth} of {raw}");
}

#[test]
fn key_points_stay_where_they_are_in_the_face() {
    let mut tracker = tracker();
    for step in 0..6 {
        tracker.update(&[face(100.0 + 10.0 * step as f32, 90.0, 40.0)], PICTURE);
    }
    tracker.update(&[], PICTURE);
    let Face {
        bounds, key_points, ..
    } = tracker.tracks()[0].face;
    // The face moved on by itself, its points with it: they are at the middle of the chin.
    let [x, _] = bounds.centre();
    assert!((x - 160.0).abs() < 1.0, "{x}");
    assert!((key_points.mouth[0] - x).abs() < 1e-3);
    assert!((key_points.mouth[1] - bounds.y2).abs() < 1e-3);
}

#[test]
fn nonsense_is_passed_over_and_changes_nobody() {
    let mut tracker = tracker();
    tracker.update(&[face(300.0, 100.0, 60.0)], PICTURE);
    let nonsense = [
        face(f32::NAN, 100.0, 60.0),
        face(300.0, f32::INFINITY, 60.0),
        face(300.0, 100.0, 0.0),
    ];
    let tracks = tracker.update(&nonsense, PICTURE);
    assert_eq!(tracks.len(), 1);
    assert_eq!((tracks[0].id, tracks[0].missed), (1, 1));
    assert!(tracks[0].face.bounds.is_finite());
}

#[test]
fn waiting_times_follow_the_frame_rate() {
    let slow = TrackerConfig::at_rate(1.0);
    assert_eq!((slow.coast, slow.patience), (1, 3));
    let fast = TrackerConfig::at_rate(30.0);
    assert_eq!((fast.coast, fast.patience), (12, 90));
    assert_eq!(TrackerConfig::at_rate(f64::NAN).patience, 1);
}
