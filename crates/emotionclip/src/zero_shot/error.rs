//! What can be wrong with a set of labels.

/// Why labels can't be used. Each message names the label or the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// Nothing to tell apart.
    #[error("there are no labels; give at least one")]
    NoLabels,
    /// A label without a name.
    #[error("label {position} has an empty name; give it one")]
    EmptyName {
        /// Position in the list, from 1.
        position: usize,
    },
    /// A label without texts.
    #[error("label '{label}' has no texts; give at least one")]
    NoTexts {
        /// Name of the label.
        label: String,
    },
    /// A text without words.
    #[error("label '{label}': text {position} is empty; write it or take it out")]
    EmptyText {
        /// Name of the label.
        label: String,
        /// Position among the label's texts, from 1.
        position: usize,
    },
    /// A name that stands twice.
    #[error("label '{label}' stands twice; give every class one name")]
    Duplicate {
        /// Name of the label.
        label: String,
    },
    /// A name that stands on two lines of a file.
    #[error("line {line}: label '{label}' stands on line {first} already; take one out")]
    DuplicateLine {
        /// Name of the label.
        label: String,
        /// Where it stands again, from 1.
        line: usize,
        /// Where it stands first, from 1.
        first: usize,
    },
    /// A line with a character that belongs into no text, as in a binary file.
    #[error("line {line}: control character {character:?}; give a plain text file, a label a line")]
    ControlCharacter {
        /// Where it stands, from 1.
        line: usize,
        /// The character.
        character: char,
    },
    /// A template that says nothing about the label.
    #[error("the template '{template}' has no {{label}}; write e.g. 'a person feeling {{label}}'")]
    Template {
        /// The template given.
        template: String,
    },
}
