//! Labels and the texts that stand for them.

use std::collections::HashMap;
use std::str::FromStr;

use super::LabelError;

/// Where the label goes in a template.
const PLACEHOLDER: &str = "{label}";

/// A sentence with a gap for the label, such as `a person feeling {label}`.
///
/// The default is the label alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptTemplate(String);

impl Default for PromptTemplate {
    fn default() -> Self {
        Self(PLACEHOLDER.to_owned())
    }
}

impl FromStr for PromptTemplate {
    type Err = LabelError;

    /// Takes a sentence that has `{label}` in it.
    fn from_str(template: &str) -> Result<Self, Self::Err> {
        if template.contains(PLACEHOLDER) {
            Ok(Self(template.to_owned()))
        } else {
            Err(LabelError::Template {
                template: template.to_owned(),
            })
        }
    }
}

impl PromptTemplate {
    /// The sentence for one label.
    pub fn fill(&self, label: &str) -> String {
        self.0.replace(PLACEHOLDER, label)
    }
}

/// A class: its name in results and the texts that describe it to the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Name of the class.
    pub name: String,
    /// At least one text, none empty.
    pub texts: Vec<String>,
}

/// At least one label, no name twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSet(Vec<Label>);

impl LabelSet {
    /// Labels with texts of their own, as a table of lists in a TOML file has them.
    ///
    /// # Errors
    ///
    /// Without labels, with an empty or repeated name, a label without texts or with an empty one.
    pub fn new(entries: Vec<(String, Vec<String>)>) -> Result<Self, LabelError> {
        if entries.is_empty() {
            return Err(LabelError::NoLabels);
        }
        let mut labels: Vec<Label> = Vec::with_capacity(entries.len());
        for (position, (name, texts)) in entries.into_iter().enumerate() {
            if name.trim().is_empty() {
                return Err(LabelError::EmptyName {
                    position: position + 1,
                });
            }
            if labels.iter().any(|label| label.name == name) {
                return Err(LabelError::Duplicate { label: name });
            }
            if texts.is_empty() {
                return Err(LabelError::NoTexts { label: name });
            }
            if let Some(position) = texts.iter().position(|text| text.trim().is_empty()) {
                return Err(LabelError::EmptyText {
                    label: name,
                    position: position + 1,
                });
            }
            labels.push(Label { name, texts });
        }
        Ok(Self(labels))
    }

    /// Labels whose one text is their name in a template.
    ///
    /// # Errors
    ///
    /// Without names, with an empty or a repeated one.
    pub fn from_names<S: AsRef<str>>(
        names: &[S],
        template: &PromptTemplate,
    ) -> Result<Self, LabelError> {
        let entry = |name: &S| {
            let name = name.as_ref();
            (name.to_owned(), vec![template.fill(name)])
        };
        Self::new(names.iter().map(entry).collect())
    }

    /// Labels from a plain text, one a line. Blank lines and lines that begin with `#` are skipped;
    /// a byte order mark and the spaces around a label are taken off.
    ///
    /// # Errors
    ///
    /// Without labels, with one that stands on two lines or a control character; the line is named.
    pub fn from_lines(text: &str, template: &PromptTemplate) -> Result<Self, LabelError> {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let mut names = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let (line, name) = (index + 1, line.trim());
            if name.is_empty() || name.starts_with('#') {
                continue;
            }
            if let Some(character) = name.chars().find(|c| c.is_control() && *c != '\t') {
                return Err(LabelError::ControlCharacter { line, character });
            }
            if let Some(first) = seen.insert(name, line) {
                return Err(LabelError::DuplicateLine {
                    label: name.to_owned(),
                    line,
                    first,
                });
            }
            names.push(name);
        }
        Self::from_names(&names, template)
    }

    /// The labels in their order.
    pub fn labels(&self) -> &[Label] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, texts: &[&str]) -> (String, Vec<String>) {
        (
            name.to_owned(),
            texts.iter().map(|text| (*text).to_owned()).collect(),
        )
    }

    #[test]
    fn lines_become_labels_in_their_order() {
        let text = "\u{feff}# moods\r\n\r\n  joy \r\nsurprised or amazed\n";
        let template = "a person feeling {label}".parse().unwrap();
        let set = LabelSet::from_lines(text, &template).unwrap();
        let expected = [
            ("joy", "a person feeling joy"),
            (
                "surprised or amazed",
                "a person feeling surprised or amazed",
            ),
        ];
        let found: Vec<_> = set
            .labels()
            .iter()
            .map(|label| (&*label.name, &*label.texts[0]))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_default_template_is_the_label_alone() {
        let set = LabelSet::from_names(&["joy"], &PromptTemplate::default()).unwrap();
        assert_eq!(set.labels()[0].texts, ["joy"]);
    }

    #[test]
    fn faults_of_a_file_name_the_line() {
        let template = PromptTemplate::default();
        let message = |text: &str| {
            LabelSet::from_lines(text, &template)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            message("joy\n# a comment\nfear\njoy\n"),
            "line 4: label 'joy' stands on line 1 already; take one out"
        );
        assert!(message("joy\nfe\u{0}ar\n").starts_with("line 2: control character '\\0'"));
        assert_eq!(
            message("\n# nothing\n"),
            "there are no labels; give at least one"
        );
    }

    #[test]
    fn faults_of_a_table_name_the_label() {
        let message = |entries: Vec<_>| LabelSet::new(entries).unwrap_err().to_string();
        assert_eq!(message(vec![]), "there are no labels; give at least one");
        assert_eq!(
            message(vec![entry("joy", &["I am happy"]), entry("fear", &[])]),
            "label 'fear' has no texts; give at least one"
        );
        assert_eq!(
            message(vec![entry("joy", &["I am happy", " "])]),
            "label 'joy': text 2 is empty; write it or take it out"
        );
        assert_eq!(
            message(vec![entry("joy", &["a"]), entry("joy", &["b"])]),
            "label 'joy' stands twice; give every class one name"
        );
        assert_eq!(
            message(vec![entry(" ", &["a"])]),
            "label 1 has an empty name; give it one"
        );
    }

    #[test]
    fn a_template_without_a_gap_is_refused() {
        let error = "a person feeling happy"
            .parse::<PromptTemplate>()
            .unwrap_err();
        assert!(error.to_string().contains("has no {label}"), "{error}");
    }
}
