//! A face cut out of its picture as data sets of faces show it.

use image::RgbImage;

use super::face::Bounds;
use crate::preprocess::DevicePicture;

/// Side of the square over the longer side of the face's box. The detector's boxes in 59 training
/// pictures of FER2013, drawn with a fixed seed, are 0.88 of the picture wide and 0.86 high (medians;
/// the middle half of the left edges lies between 0.03 and 0.12).
const SIDE: f32 = 1.15;
/// How far the middle of the square lies above the box's, over the square's side: there the middle of
/// a box lies at 0.58 of the height.
const RAISE: f32 = 0.08;

/// A square in pixels of a picture; it may reach beyond the picture's edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Square {
    /// Left edge.
    pub left: f32,
    /// Top edge.
    pub top: f32,
    /// Length of a side.
    pub side: f32,
}

impl Square {
    /// What it shows of a picture, for models that learned from faces that fill the frame; what lies
    /// beyond the picture's edges is its outermost pixels. `None` when the square has no area, or
    /// lies wholly outside.
    pub fn cut(&self, picture: &RgbImage) -> Option<RgbImage> {
        let (width, height) = picture.dimensions();
        let ([left, top], side) = self.placed([width, height])?;
        let pixel = |start: i32, offset: u32, length: u32| {
            let position = i64::from(start) + i64::from(offset);
            position.clamp(0, i64::from(length) - 1) as u32
        };
        Some(RgbImage::from_fn(side, side, |x, y| {
            *picture.get_pixel(pixel(left, x, width), pixel(top, y, height))
        }))
    }

    /// As [`cut`](Self::cut) for a picture on a device.
    pub fn cut_on_device(&self, picture: &DevicePicture) -> Option<DevicePicture> {
        let (corner, side) = self.placed(picture.size())?;
        Some(picture.part(corner, [side, side]))
    }

    /// Left and top edge and side in whole pixels of a picture of `[width, height]`; `None` where
    /// there is nothing to see.
    fn placed(&self, [width, height]: [u32; 2]) -> Option<([i32; 2], u32)> {
        let &Self { left, top, side } = self;
        let meets = left < width as f32
            && top < height as f32
            && left + side > 0.0
            && top + side > 0.0
            && side >= 1.0;
        // A face much larger than its picture is none; this also bounds the memory.
        let longest = width.max(height) as f32;
        if !meets || side > 4.0 * longest {
            return None;
        }
        let corner = [left, top].map(|edge| edge.round() as i32);
        Some((corner, (side.round() as u32).max(1)))
    }

    fn around([x, y]: [f32; 2], side: f32) -> Self {
        Self {
            left: x - side / 2.0,
            top: y - side / 2.0,
            side,
        }
    }
}

impl Bounds {
    /// The smallest square around the box's centre that holds it.
    pub fn square(&self) -> Square {
        let [width, height] = self.size();
        Square::around(self.centre(), width.max(height))
    }

    /// The square that shows the face the way FER2013 shows faces: from the forehead to the chin and
    /// from ear to ear.
    pub fn close_up_square(&self) -> Square {
        let side = SIDE * self.square().side;
        let [x, y] = self.centre();
        Square::around([x, y - RAISE * side], side)
    }

    /// The face cut out of a picture: [`close_up_square`](Self::close_up_square),
    /// [cut](Square::cut).
    pub fn close_up(&self, picture: &RgbImage) -> Option<RgbImage> {
        self.close_up_square().cut(picture)
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn face(x1: f32, y1: f32, x2: f32, y2: f32) -> Bounds {
        Bounds { x1, y1, x2, y2 }
    }

    /// Every pixel holds its own place.
    fn places(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 0]))
    }

    #[test]
    fn the_square_is_placed_as_in_the_data_set() {
        // A box of 100 pixels: 115 wide, 7.5 to the left, and 7.5 + 0.08 * 115 = 16.7 above.
        let Square { left, top, side } = face(50.0, 60.0, 150.0, 160.0).close_up_square();
        assert!((side - 115.0).abs() < 1e-3);
        assert!((left - 42.5).abs() < 1e-3);
        assert!((top - 43.3).abs() < 1e-3);
    }

    #[test]
    fn a_box_is_shown_whole_by_its_square() {
        let square = face(10.0, 20.0, 50.0, 40.0).square();
        assert_eq!((square.left, square.top, square.side), (10.0, 10.0, 40.0));
        let cut = square.cut(&places(60, 30)).unwrap();
        assert_eq!(cut.dimensions(), (40, 40));
        assert_eq!(cut.get_pixel(39, 39).0, [49, 29, 0]);
    }

    #[test]
    fn pixels_are_those_of_the_square_and_beyond_the_edge_the_outermost() {
        let cut = face(50.0, 60.0, 150.0, 160.0)
            .close_up(&places(200, 200))
            .unwrap();
        assert_eq!(cut.dimensions(), (115, 115));
        // 42.5 rounds away from zero.
        assert_eq!(cut.get_pixel(0, 0).0, [43, 43, 0]);
        assert_eq!(cut.get_pixel(114, 114).0, [157, 157, 0]);

        let cut = face(-5.0, 0.0, 15.0, 20.0)
            .close_up(&places(30, 30))
            .unwrap();
        assert_eq!(cut.get_pixel(0, 0).0, [0, 0, 0]);
        assert_eq!(cut.get_pixel(0, 22).0, [0, 19, 0]);
    }

    #[test]
    fn a_face_without_area_or_outside_has_no_close_up() {
        let picture = places(30, 30);
        assert!(face(10.0, 10.0, 10.0, 10.0).close_up(&picture).is_none());
        assert!(face(100.0, 10.0, 120.0, 30.0).close_up(&picture).is_none());
        assert!(
            face(-900.0, -900.0, 900.0, 900.0)
                .close_up(&picture)
                .is_none()
        );
    }
}
