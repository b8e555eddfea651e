//! Class names, in the order of the release's label vectors.

/// BoLD: the order of the columns of its annotations.
pub(super) const BOLD: [&str; 26] = [
    "peace",
    "affection",
    "esteem",
    "anticipation",
    "engagement",
    "confidence",
    "happiness",
    "pleasure",
    "excitement",
    "surprise",
    "sympathy",
    "doubt confusion",
    "disconnection",
    "fatigue",
    "embarrassment",
    "yearning",
    "disapproval",
    "aversion",
    "annoyance",
    "anger",
    "sensitivity",
    "sadness",
    "disquietment",
    "fear",
    "pain",
    "suffering",
];

/// MovieGraphs: the names in `emotion_labels.json`. EMOTIC's arrays have the same order, in which
/// the tenth is called "Doubt/Confusion".
pub(super) const MOVIE_GRAPHS: [&str; 26] = [
    "Affection",
    "Anger",
    "Annoyance",
    "Anticipation",
    "Aversion",
    "Confidence",
    "Disapproval",
    "Disconnection",
    "Disquietment",
    "Doubt/Conf",
    "Embarrassment",
    "Engagement",
    "Esteem",
    "Excitement",
    "Fatigue",
    "Fear",
    "Happiness",
    "Pain",
    "Peace",
    "Pleasure",
    "Sadness",
    "Sensitivity",
    "Suffering",
    "Surprise",
    "Sympathy",
    "Yearning",
];

/// MELD: the order of the release; the table names the emotion.
pub(super) const MELD: [&str; 7] = [
    "neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger",
];

/// What BoLD's annotations measure beside the classes.
pub(super) const BOLD_VALUES: [&str; 3] = ["valence", "arousal", "dominance"];

/// What LIRIS-ACCEDE's annotations measure.
pub(super) const LIRIS_VALUES: [&str; 2] = ["valence", "arousal"];
