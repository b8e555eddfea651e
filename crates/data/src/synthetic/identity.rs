//! Who a figure is: colours, hair, clothes and proportions, and which split it belongs to.
//!
//! All figures there can be form one finite grid. Its coarse part, the *look* (skin, hair style,
//! hair colour, colour of the clothes), decides the split through a hash, so every look belongs to
//! exactly one split and a figure of the test split has a look that no training figure has.

use super::Split;
use super::canvas::Colour;
use super::draws::{Draws, mix};

const SKINS: [Colour; 9] = [
    Colour(255, 224, 196),
    Colour(247, 205, 170),
    Colour(236, 188, 150),
    Colour(222, 168, 128),
    Colour(201, 146, 106),
    Colour(176, 120, 82),
    Colour(152, 100, 68),
    Colour(128, 82, 56),
    Colour(243, 213, 160),
];

const HAIRS: [Colour; 8] = [
    Colour(32, 26, 28),
    Colour(62, 40, 28),
    Colour(104, 66, 36),
    Colour(158, 98, 46),
    Colour(222, 176, 92),
    Colour(178, 66, 34),
    Colour(186, 186, 192),
    Colour(72, 70, 110),
];

const CLOTHES: [Colour; 12] = [
    Colour(196, 54, 58),
    Colour(224, 118, 42),
    Colour(238, 190, 60),
    Colour(116, 164, 66),
    Colour(46, 126, 92),
    Colour(52, 152, 172),
    Colour(50, 98, 176),
    Colour(78, 68, 150),
    Colour(142, 74, 150),
    Colour(214, 108, 150),
    Colour(236, 234, 224),
    Colour(70, 76, 88),
];

/// How the hair is worn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HairStyle {
    Bald,
    Short,
    SideParting,
    Bob,
    Long,
    Bun,
    Curls,
    Spikes,
    Ponytail,
    Cap,
}

const HAIR_STYLES: [HairStyle; 10] = [
    HairStyle::Bald,
    HairStyle::Short,
    HairStyle::SideParting,
    HairStyle::Bob,
    HairStyle::Long,
    HairStyle::Bun,
    HairStyle::Curls,
    HairStyle::Spikes,
    HairStyle::Ponytail,
    HairStyle::Cap,
];

/// The outline of the body below the neck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyShape {
    /// Wider at the bottom, like a coat or a dress.
    Bell,
    /// Rounded and about as wide everywhere.
    Barrel,
    /// A short torso on two legs.
    Legged,
}

const BODY_SHAPES: [BodyShape; 3] = [BodyShape::Bell, BodyShape::Barrel, BodyShape::Legged];

/// What the clothes show besides their colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Plain,
    Bands,
    Buttons,
    Scarf,
    Apron,
}

const PATTERNS: [Pattern; 5] = [
    Pattern::Plain,
    Pattern::Bands,
    Pattern::Buttons,
    Pattern::Scarf,
    Pattern::Apron,
];

const HEAD_WIDTHS: [f32; 3] = [0.90, 0.98, 1.06];
const TORSO_WIDTHS: [f32; 3] = [0.88, 1.0, 1.12];
const SLEEVES: [bool; 2] = [true, false];

/// Number of looks, the coarse cells which the splits share out.
pub const LOOKS: u32 = (SKINS.len() * HAIR_STYLES.len() * HAIRS.len() * CLOTHES.len()) as u32;

const VARIANTS: u32 = (BODY_SHAPES.len()
    * PATTERNS.len()
    * CLOTHES.len()
    * HEAD_WIDTHS.len()
    * TORSO_WIDTHS.len()
    * SLEEVES.len()) as u32;

/// Number of different figures.
pub const IDENTITIES: u32 = LOOKS * VARIANTS;

/// One figure of the grid, `0..IDENTITIES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(u32);

impl Identity {
    /// Draws a figure of a split, uniformly among the split's figures.
    pub(super) fn draw(draws: &mut Draws, split: Split) -> Self {
        loop {
            let identity = Self(draws.below(IDENTITIES as usize) as u32);
            if identity.split() == split {
                return identity;
            }
        }
    }

    /// The figure's number in the grid.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The figure's look, `0..LOOKS`: skin, hair style, hair colour and colour of the clothes.
    pub const fn look(self) -> u32 {
        self.0 / VARIANTS
    }

    /// The one split whose scenes may show this figure: 8 of 10 looks train, 1 validation, 1 test.
    pub const fn split(self) -> Split {
        match mix(self.look() as u64) % 10 {
            0..8 => Split::Train,
            8 => Split::Validation,
            _ => Split::Test,
        }
    }

    /// What the figure looks like.
    pub(super) fn traits(self) -> Traits {
        let mut rest = self.0 as usize;
        let mut digit = |base: usize| {
            let value = rest % base;
            rest /= base;
            value
        };
        // The look is the high part of the number, so the variant's digits come off first.
        let body = BODY_SHAPES[digit(BODY_SHAPES.len())];
        let pattern = PATTERNS[digit(PATTERNS.len())];
        let accent = CLOTHES[digit(CLOTHES.len())];
        let head_width = HEAD_WIDTHS[digit(HEAD_WIDTHS.len())];
        let torso_width = TORSO_WIDTHS[digit(TORSO_WIDTHS.len())];
        let long_sleeves = SLEEVES[digit(SLEEVES.len())];
        let skin = SKINS[digit(SKINS.len())];
        let hair_style = HAIR_STYLES[digit(HAIR_STYLES.len())];
        let hair = HAIRS[digit(HAIRS.len())];
        let clothes = CLOTHES[digit(CLOTHES.len())];
        Traits {
            skin,
            hair_style,
            hair,
            clothes,
            body,
            pattern,
            accent,
            head_width,
            torso_width,
            long_sleeves,
        }
    }
}

/// The visible traits of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Traits {
    pub(super) skin: Colour,
    pub(super) hair_style: HairStyle,
    pub(super) hair: Colour,
    pub(super) clothes: Colour,
    pub(super) body: BodyShape,
    pub(super) pattern: Pattern,
    /// Colour of the pattern, of a cap and of the trousers.
    pub(super) accent: Colour,
    /// Width of the head in units of its height.
    pub(super) head_width: f32,
    /// Width of the torso in units of the average.
    pub(super) torso_width: f32,
    pub(super) long_sleeves: bool,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::draws::Purpose;
    use super::*;

    #[test]
    fn every_look_belongs_to_one_split_and_every_split_has_looks() {
        let mut counts = [0; 3];
        for look in 0..LOOKS {
            let first = Identity(look * VARIANTS);
            let last = Identity(look * VARIANTS + VARIANTS - 1);
            assert_eq!((first.look(), last.look()), (look, look));
            assert_eq!(first.split(), last.split());
            counts[first.split() as usize] += 1;
        }
        // Binomial(8640, 0.1) has mean 864 and deviation 28; 5 deviations.
        assert!(
            (724..1004).contains(&counts[Split::Validation as usize]),
            "{counts:?}"
        );
        assert!(
            (724..1004).contains(&counts[Split::Test as usize]),
            "{counts:?}"
        );
    }

    #[test]
    fn figures_drawn_for_two_splits_share_no_look() {
        let looks = |split| -> HashSet<u32> {
            let mut draws = Draws::new(1, split, 0, Purpose::Identity);
            (0..3000)
                .map(|_| Identity::draw(&mut draws, split).look())
                .collect()
        };
        let [train, validation, test] = [
            looks(Split::Train),
            looks(Split::Validation),
            looks(Split::Test),
        ];
        assert!(train.is_disjoint(&validation));
        assert!(train.is_disjoint(&test));
        assert!(validation.is_disjoint(&test));
    }

    #[test]
    fn a_look_decides_skin_hair_and_clothes() {
        for look in (0..LOOKS).step_by(97) {
            let seen = |identity: Identity| {
                let traits = identity.traits();
                (traits.skin, traits.hair_style, traits.hair, traits.clothes)
            };
            let reference = seen(Identity(look * VARIANTS));
            for variant in (0..VARIANTS).step_by(131) {
                assert_eq!(seen(Identity(look * VARIANTS + variant)), reference);
            }
        }
    }
}
