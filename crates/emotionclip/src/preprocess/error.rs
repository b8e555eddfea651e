//! What can be wrong with a clip, a box or a preprocessing config.

/// Why a clip could not be prepared. Each message names what is wrong and what to do about it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PreprocessError {
    /// A config value that no clip can be prepared with.
    #[error("preprocess.{field} is {value}: {rule}")]
    Config {
        /// Field of [`Preprocess`](super::Preprocess).
        field: &'static str,
        /// Its value.
        value: String,
        /// What the field has to satisfy.
        rule: &'static str,
    },
    /// A clip without frames.
    #[error("the clip has no frames; give it at least one")]
    EmptyClip,
    /// A clip whose prepared tensors would be larger than any use of them.
    #[error(
        "the clip has {frames} frames, more than the {limit} that fit into one; sample fewer frames"
    )]
    TooManyFrames {
        /// Frames in the clip.
        frames: usize,
        /// Most frames a clip may have with this crop size.
        limit: usize,
    },
    /// Frames and masks differ in number.
    #[error("the clip has {frames} frames but {masks} masks; give one mask a frame")]
    MaskCount {
        /// Frames in the clip.
        frames: usize,
        /// Masks in the clip.
        masks: usize,
    },
    /// Frames and crop offsets differ in number.
    #[error("the clip has {frames} frames but {offsets} crop offsets; give one offset a frame")]
    CropCount {
        /// Frames in the clip.
        frames: usize,
        /// Offsets in [`Crops::PerFrame`](super::Crops::PerFrame).
        offsets: usize,
    },
    /// What is wrong with one frame of a clip.
    #[error("frame {index}: {problem}")]
    Frame {
        /// Position of the frame in the clip.
        index: usize,
        /// What is wrong with it.
        problem: Box<PreprocessError>,
    },
    /// A picture without pixels, or a request for one.
    #[error("a picture of {width}x{height} pixels has nothing to resize; leave it out")]
    EmptyPicture {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A resize that would ask for an absurd amount of memory.
    #[error(
        "resizing {width}x{height} pixels to {target_width}x{target_height} needs more than {limit} \
         pixels; crop the picture to a usual aspect ratio first"
    )]
    TooLarge {
        /// Width of the picture in pixels.
        width: u32,
        /// Height of the picture in pixels.
        height: u32,
        /// Width asked for, in pixels.
        target_width: u64,
        /// Height asked for, in pixels.
        target_height: u64,
        /// Most pixels a picture may have.
        limit: u64,
    },
    /// A mask of another size than its frame.
    #[error(
        "the mask is {mask_width}x{mask_height} pixels and its frame {width}x{height}; draw the \
         mask at the frame's size"
    )]
    MaskSize {
        /// Width of the mask in pixels.
        mask_width: u32,
        /// Height of the mask in pixels.
        mask_height: u32,
        /// Width of the frame in pixels.
        width: u32,
        /// Height of the frame in pixels.
        height: u32,
    },
    /// A crop that leaves the resized frame.
    #[error(
        "crop offset ({left}, {top}) lies outside the frame; the largest is ({max_left}, {max_top})"
    )]
    CropOutside {
        /// Offset from the left in pixels of the resized frame.
        left: u32,
        /// Offset from the top in pixels of the resized frame.
        top: u32,
        /// Largest offset from the left.
        max_left: u32,
        /// Largest offset from the top.
        max_top: u32,
    },
    /// A subject box with a coordinate that is NaN or infinite.
    #[error("subject box {index} has a coordinate that is no finite number; drop the box")]
    BoxNotFinite {
        /// Position of the box in the list.
        index: usize,
    },
    /// A flat tensor of another length than its shape says.
    #[error("{what} has {length} values where {expected} are needed; pass one whole frame")]
    Length {
        /// Which tensor.
        what: &'static str,
        /// Its length.
        length: usize,
        /// The length its shape asks for.
        expected: usize,
    },
    /// A mask that does not divide into patches.
    #[error("a mask of side {size} does not divide into patches of side {patch}")]
    Patch {
        /// Side of the mask in pixels.
        size: usize,
        /// Side of a patch in pixels.
        patch: usize,
    },
    /// Settings that only the host prepares with.
    #[error(
        "a device resizes pictures with antialiasing only; prepare interpolated ones on the host"
    )]
    NotOnDevice,
}
