//! Pictures prepared on a device against the native preparation: the same integers, so the same bits.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should stop right there"
)]

use burn::tensor::{Device, Tensor};
use emotionclip::detector::{Detector, Square};
use emotionclip::preprocess::{
    Crops, DevicePicture, MaskProtocol, Preprocess, PreprocessError, SubjectArea, SubjectBox,
    patch_coverage,
};
use emotionclip::{Clip, EmotionClipConfig};
use image::{GrayImage, Luma, Rgb, RgbImage};

/// Landscape, portrait, square, tiny, narrow and large; as wide as a row of words and a little more.
const SIZES: [[u32; 2]; 9] = [
    [128, 96],
    [96, 128],
    [64, 64],
    [5, 3],
    [1, 1],
    [9, 300],
    [65, 40],
    [640, 361],
    [1280, 720],
];

/// Ramps, edges that overshoot when they are resized, and noise.
fn picture([width, height]: [u32; 2]) -> RgbImage {
    let mut state = 1_u32;
    RgbImage::from_fn(width, height, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let checked = 255 * u8::from((x / 7 + y / 5) % 2 == 0);
        Rgb([(255 * x / width) as u8, checked, (state >> 24) as u8])
    })
}

fn copied(picture: &RgbImage, device: &Device) -> DevicePicture {
    let size = [picture.width(), picture.height()];
    DevicePicture::from_rgb(picture.as_raw(), size, device).expect("a device with kernels")
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as::<f32>().unwrap()
}

mod needs_wgsl {
    use super::*;

    #[test]
    fn frames_masks_and_coverage_are_the_native_ones() {
        let device = Device::wgpu(Default::default());
        let configs = [
            Preprocess::square(64),
            Preprocess {
                resize: 80,
                crop: 64,
                ..Preprocess::release()
            },
        ];
        for size @ [width, height] in SIZES {
            let picture = picture(size);
            let on_device = copied(&picture, &device);
            let [w, h] = size.map(|side| side as f32);
            let subject = SubjectBox {
                x1: 0.2 * w,
                y1: -3.0,
                x2: 0.71 * w,
                y2: 0.63 * h,
                score: None,
            };
            let filled = |level| GrayImage::from_pixel(width, height, Luma([level]));
            for preprocess in &configs {
                let drawn = MaskProtocol::Bold.mask(&[subject], size, preprocess);
                for (area, mask) in [
                    (SubjectArea::Box(subject), drawn.unwrap()),
                    (SubjectArea::Whole, filled(255)),
                    (SubjectArea::Nobody, filled(0)),
                ] {
                    let clip = Clip {
                        frames: vec![picture.clone()],
                        masks: vec![mask],
                    };
                    let wanted = preprocess.clip(&clip, &Crops::Centre).unwrap();
                    let found = preprocess.frame_on_device(&on_device, area).unwrap();
                    let coverage = patch_coverage(&wanted.masks, 64, 8).unwrap();
                    assert_eq!(found.coverage(8).unwrap(), coverage, "{size:?} {area:?}");
                    assert!(host(found.frame) == wanted.frames, "{size:?} {area:?}");
                    assert!(host(found.mask) == wanted.masks, "{size:?} {area:?}");
                }
            }
        }
    }

    #[test]
    fn close_ups_and_the_detector_see_the_same() {
        let device = Device::wgpu(Default::default());
        let detector = Detector::bundled(&device).unwrap();
        let preprocess = Preprocess::square(48);
        for size in SIZES {
            let picture = picture(size);
            let on_device = copied(&picture, &device);
            let found = detector.input_on_device(&on_device).unwrap();
            let wanted = detector.input(&picture).unwrap();
            assert!(host(found) == host(wanted), "{size:?}");
            // Inside, across two edges, and larger than the picture.
            let [w, h] = size.map(|side| side as f32);
            for (left, top, side) in [(0.1, 0.2, 0.5), (-0.3, -0.2, 0.9), (-0.5, -0.5, 2.4)] {
                let square = Square {
                    left: left * w,
                    top: top * h,
                    side: side * w.max(h),
                };
                let (Some(cut), Some(part)) =
                    (square.cut(&picture), square.cut_on_device(&on_device))
                else {
                    assert!(square.cut(&picture).is_none());
                    assert!(square.cut_on_device(&on_device).is_none());
                    continue;
                };
                let clip = Clip::whole(vec![cut]);
                let wanted = preprocess.clip(&clip, &Crops::Centre).unwrap();
                let found = preprocess.frame_on_device(&part, SubjectArea::Whole);
                assert!(
                    host(found.unwrap().frame) == wanted.frames,
                    "{size:?} {square:?}"
                );
            }
        }
    }

    #[test]
    fn what_no_device_prepares_is_refused() {
        let device = Device::wgpu(Default::default());
        let room = |size| DevicePicture::reserve(size, &device);
        assert!(room([0, 4]).is_none() && room([4, 0]).is_none());
        assert!(room([u32::MAX, 2]).is_none() && room([8192, 8192]).is_none());
        assert!(DevicePicture::from_rgb(&[0; 11], [2, 2], &device).is_none());
        let picture = copied(&picture([20, 10]), &device);
        let refused = Preprocess::emoclip().frame_on_device(&picture, SubjectArea::Whole);
        assert_eq!(refused.unwrap_err(), PreprocessError::NotOnDevice);
        let broken = SubjectBox {
            x1: f32::NAN,
            y1: 0.0,
            x2: 1.0,
            y2: 1.0,
            score: None,
        };
        let refused = Preprocess::square(16).frame_on_device(&picture, SubjectArea::Box(broken));
        assert_eq!(
            refused.unwrap_err(),
            PreprocessError::BoxNotFinite { index: 0 }
        );
    }
}

#[test]
fn a_device_without_kernels_holds_no_pictures() {
    assert!(DevicePicture::reserve([4, 4], &Device::flex()).is_none());
    let side = EmotionClipConfig::nano().vision.image_size as u32;
    assert!(Preprocess::square(side).fits_device());
    assert!(!Preprocess::emoclip().fits_device());
}
