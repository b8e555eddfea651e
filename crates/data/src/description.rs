//! Neutral descriptions of scenes in words: how many stand where and how large, before what, in what
//! light, and how they move. Nobody's expression is mentioned, nor who the subject is, so a model
//! trained on them knows pictures and words but nothing of emotions.
//!
//! The sentences are short: a small vocabulary splits words, and a small model's context holds no
//! more than 32 tokens.

use crate::synthetic::draws::Draws;

/// Boxes with a side of at least this share of the frame are large, and below the second small.
const LARGE: f32 = 0.6;
const SMALL: f32 = 0.38;

/// Ways over the clip, in units of the frame's side, from which something is said to move.
const MOVES: f32 = 0.02;

/// A side that changes by this factor's logarithm over the clip comes nearer or goes away.
const GROWS: f32 = 0.08;

/// Overall light from which a picture is called bright, and up to which it is called dim.
const BRIGHT: f32 = 1.0;
const DIM: f32 = 0.84;

/// Red over blue from which light has a colour.
const TINTED: f32 = 0.05;

/// Probability that a part other than the first is left out.
const LEFT_OUT: f32 = 0.12;

/// A figure or face as it stands in the middle of the clip, in units of the frame's side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Middle of its box, from the left and from the top.
    pub(crate) middle: (f32, f32),
    /// Height of its box.
    pub(crate) side: f32,
    /// Way to the right over the clip.
    pub(crate) drift: f32,
    /// Logarithm of its growth over the clip.
    pub(crate) growth: f32,
}

/// What a description is made from. There is no emotion in it.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Words for one of those seen and for several.
    pub(crate) nouns: &'static [[&'static str; 2]],
    /// Everybody seen, one at least.
    pub(crate) seen: Vec<Seen>,
    /// What is behind them; nothing when they fill the frame.
    pub(crate) background: Option<&'static str>,
    /// Overall light at the beginning and at the end.
    pub(crate) brightness: [f32; 2],
    /// Factor of red less that of blue.
    pub(crate) redness: f32,
}

/// A description; `moving` adds what only several frames show. Which words are used and in which
/// order is drawn.
pub(crate) fn describe(facts: &Facts, moving: bool, draws: &mut Draws) -> String {
    let mut largest_first: Vec<&Seen> = facts.seen.iter().collect();
    largest_first.sort_by(|a, b| b.side.total_cmp(&a.side));
    let Some(largest) = largest_first.first() else {
        return String::new();
    };
    let mut parts = Vec::new();
    if let Some(second) = largest_first.get(1) {
        parts.push(format!("another {}", place(second)));
    }
    if let Some(background) = facts.background {
        let before = pick(draws, &["in front of", "against", "before"]);
        parts.push(format!("{before} {background}"));
        parts.push(light(facts, moving, draws));
    }
    if moving {
        parts.push(motion(largest, draws).to_owned());
    }
    parts.retain(|_| !draws.chance(LEFT_OUT));
    draws.shuffle(&mut parts);
    parts.insert(0, head(facts, largest, draws));
    parts.join(", ")
}

/// How many there are, and where the largest is.
fn head(facts: &Facts, largest: &Seen, draws: &mut Draws) -> String {
    let [one, several] = facts.nouns[draws.below(facts.nouns.len())];
    let count = facts.seen.len();
    if count == 1 {
        return format!("a {} {one} {}", size(largest), place(largest));
    }
    let number = ["no", "one", "two", "three", "four"].get(count);
    let number = number.copied().unwrap_or("many");
    let largest_place = place(largest);
    match draws.below(3) {
        0 => format!("{number} {several}, the largest {largest_place}"),
        1 => format!(
            "{number} {several}, a {} one {largest_place}",
            size(largest)
        ),
        _ => format!("{number} {several}, the nearest {largest_place}"),
    }
}

fn size(seen: &Seen) -> &'static str {
    match seen.side {
        side if side >= LARGE => "large",
        side if side < SMALL => "small",
        _ => "middle-sized",
    }
}

/// The ninth of the frame in which the middle lies.
fn place(seen: &Seen) -> &'static str {
    let third = |value: f32| (value * 3.0).clamp(0.0, 2.0) as usize;
    const PLACES: [[&str; 3]; 3] = [
        ["at the upper left", "at the top", "at the upper right"],
        ["at the left", "in the middle", "at the right"],
        ["at the lower left", "at the bottom", "at the lower right"],
    ];
    PLACES[third(seen.middle.1)][third(seen.middle.0)]
}

fn light(facts: &Facts, moving: bool, draws: &mut Draws) -> String {
    let [first, last] = facts.brightness;
    let middle = 0.5 * (first + last);
    let strength = match middle {
        light if light >= BRIGHT => "bright",
        light if light <= DIM => "dim",
        _ => "even",
    };
    let colour = match facts.redness {
        red if red >= TINTED => " reddish",
        red if red <= -TINTED => " bluish",
        _ => "",
    };
    let change = match last - first {
        change if moving && change > 0.08 => " getting brighter",
        change if moving && change < -0.08 => " getting darker",
        _ => "",
    };
    let within = pick(draws, &["in", "under"]);
    format!("{within} {strength}{colour} light{change}")
}

fn motion(largest: &Seen, draws: &mut Draws) -> &'static str {
    if largest.growth.abs() > GROWS && draws.chance(0.5) {
        return if largest.growth > 0.0 {
            "coming nearer"
        } else {
            "going away"
        };
    }
    match largest.drift {
        drift if drift > MOVES => pick(draws, &["moving right", "drifting to the right"]),
        drift if drift < -MOVES => pick(draws, &["moving left", "drifting to the left"]),
        _ => pick(draws, &["staying in place", "hardly moving"]),
    }
}

fn pick(draws: &mut Draws, words: &[&'static str]) -> &'static str {
    words[draws.below(words.len())]
}

/// Words that would give an emotion away, for tests of whatever makes descriptions.
#[cfg(test)]
pub(crate) const EMOTIONAL: [&str; 40] = [
    "anger",
    "angry",
    "mad",
    "furious",
    "disgust",
    "disgusted",
    "gross",
    "fear",
    "afraid",
    "scared",
    "terrified",
    "joy",
    "happy",
    "glad",
    "smile",
    "smiling",
    "laugh",
    "neutral",
    "calm",
    "sadness",
    "sad",
    "cry",
    "crying",
    "tears",
    "surprise",
    "surprised",
    "amazed",
    "shocked",
    "cheerful",
    "gloomy",
    "frown",
    "grin",
    "emotion",
    "feel",
    "feeling",
    "mood",
    "expression",
    "love",
    "hate",
    "upset",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Split;

    fn facts(seen: Vec<Seen>) -> Facts {
        Facts {
            nouns: &[["face", "faces"]],
            seen,
            background: Some("stripes"),
            brightness: [0.7, 0.8],
            redness: 0.1,
        }
    }

    fn all(facts: &Facts, moving: bool) -> Vec<String> {
        let describe = |index| {
            let mut draws = Draws::numbered(1, Split::Train, index, 3000, 0);
            describe(facts, moving, &mut draws)
        };
        (0..200).map(describe).collect()
    }

    const LEFT: Seen = Seen {
        middle: (0.2, 0.5),
        side: 0.3,
        drift: 0.05,
        growth: 0.0,
    };
    const BOTTOM: Seen = Seen {
        middle: (0.5, 0.9),
        side: 0.7,
        drift: 0.0,
        growth: -0.2,
    };

    #[test]
    fn what_is_there_is_what_is_said() {
        for text in all(&facts(vec![LEFT]), false) {
            assert!(text.starts_with("a small face at the left"), "{text}");
            assert!(
                !text.contains("moving") && !text.contains("drifting"),
                "{text}"
            );
        }
        for text in all(&facts(vec![LEFT, BOTTOM]), true) {
            assert!(text.starts_with("two faces, "), "{text}");
            let head = text.split(", ").nth(1).unwrap();
            assert!(head.ends_with("at the bottom"), "{text}");
            assert!(!text.contains(" right"), "{text}");
        }
    }

    #[test]
    fn light_motion_and_background_are_said_mostly() {
        let texts = all(&facts(vec![LEFT]), true);
        let share = |words: &str| {
            let with = texts.iter().filter(|text| text.contains(words)).count();
            with as f32 / texts.len() as f32
        };
        // Each is left out with probability 0.12; 200 draws deviate by 0.023.
        for words in ["stripes", "dim reddish light getting brighter", "right"] {
            assert!(
                (0.75..1.0).contains(&share(words)),
                "{words} {}",
                share(words)
            );
        }
    }
}
