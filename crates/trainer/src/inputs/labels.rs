//! Labels for zero-shot readings: `--labels` and `--template`.

use std::collections::BTreeMap;
use std::path::Path;

use emotionclip::Emotion;
use emotionclip::zero_shot::{LabelSet, PromptTemplate};
use emotionclip_data::synthetic::LabelTexts;

use super::files::read_text;
use crate::failure::{OrBadInput, bad_input};

/// Table of a labels file that maps folders of a dataset to labels.
const FOLDERS: &str = "folders";

/// Sentence for labels that have no texts of their own.
const DEFAULT_TEMPLATE: &str = "a person feeling {label}";

/// Options that name the labels.
#[derive(clap::Args, Clone, Debug)]
pub struct LabelArgs {
    /// Labels: a TOML file (label = ["text", …]), a text file with one a line, or 'a,b,c'
    ///
    /// Without it: the seven emotions with their built-in texts. A TOML file may map folders of a
    /// dataset to labels under [folders].
    #[arg(long, value_name = "FILE|LIST")]
    pub labels: Option<String>,
    /// Sentence for labels without texts; {} or {label} stands for the label
    #[arg(long, value_name = "TEXT", default_value = DEFAULT_TEMPLATE)]
    pub template: String,
}

/// What a labels file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelsFile {
    /// Labels with their texts, in the file's alphabetical order; empty when only folders are
    /// mapped.
    pub texts: Vec<(String, Vec<String>)>,
    /// Folder to label.
    pub folders: BTreeMap<String, String>,
}

impl LabelArgs {
    fn template(&self) -> anyhow::Result<PromptTemplate> {
        self.template
            .replace("{}", "{label}")
            .parse()
            .or_bad_input("--template")
    }

    /// The folders' labels that the file maps; nothing for another kind of `--labels`.
    ///
    /// # Errors
    /// Bad input for a file that can't be read.
    pub fn folders(&self) -> anyhow::Result<BTreeMap<String, String>> {
        match self.toml_file() {
            Some(path) => Ok(read_toml(path)?.folders),
            None => Ok(BTreeMap::new()),
        }
    }

    /// The labels given, or else `found` (those of a dataset), or else the seven emotions; where
    /// only an emotion's name is known, its texts are those of `emotions`.
    ///
    /// # Errors
    /// Bad input for labels that can't be read or used.
    pub fn label_set(
        &self,
        found: Option<&[String]>,
        emotions: &LabelTexts,
    ) -> anyhow::Result<LabelSet> {
        let template = self.template()?;
        if let Some(path) = self.toml_file() {
            let entries = read_toml(path)?.texts;
            if !entries.is_empty() {
                return LabelSet::new(entries).or_bad_input(path.display());
            }
        } else if let Some(given) = &self.labels {
            return from_text(given, &template);
        }
        let names: Vec<String> = match found {
            Some(found) => found.to_vec(),
            None => Emotion::ALL
                .map(|emotion| emotion.name().to_owned())
                .to_vec(),
        };
        let entry = |name: String| {
            let texts = match name.parse::<Emotion>() {
                Ok(emotion) => emotions[emotion.index()].clone(),
                Err(_) => vec![template.fill(&name)],
            };
            (name, texts)
        };
        LabelSet::new(names.into_iter().map(entry).collect()).or_bad_input("labels")
    }

    fn toml_file(&self) -> Option<&Path> {
        let path = Path::new(self.labels.as_deref()?);
        let is_toml = path
            .extension()
            .is_some_and(|found| found.eq_ignore_ascii_case("toml"));
        is_toml.then_some(path)
    }
}

/// A list apart by commas, or the lines of a file.
fn from_text(given: &str, template: &PromptTemplate) -> anyhow::Result<LabelSet> {
    let path = Path::new(given);
    let is_list = given.contains(',') && !path.exists();
    if is_list || (path.extension().is_none() && !path.exists()) {
        let names: Vec<&str> = given.split(',').map(str::trim).collect();
        return LabelSet::from_names(&names, template).or_bad_input("--labels");
    }
    LabelSet::from_lines(&read_text(path)?, template).or_bad_input(path.display())
}

/// Reads a TOML file of labels: `label = "text"`, `label = ["text", …]` and the table `[folders]`.
///
/// # Errors
/// Bad input that names the file and the entry.
pub fn read_toml(path: &Path) -> anyhow::Result<LabelsFile> {
    let name = path.display();
    let table: toml::Table = toml::from_str(&read_text(path)?)
        .map_err(|error| bad_input(format!("{name}: {}", super::files::one_line(error))))?;
    let mut file = LabelsFile::default();
    for (label, value) in table {
        let wrong = |expected: &str| bad_input(format!("{name}: `{label}` must be {expected}"));
        let text = |value: toml::Value| match value {
            toml::Value::String(text) => Ok(text),
            _ => Err(wrong("a text or a list of texts")),
        };
        match value {
            toml::Value::Table(folders) if label == FOLDERS => {
                for (folder, mapped) in folders {
                    let toml::Value::String(mapped) = mapped else {
                        return Err(wrong("a table of folder = \"label\""));
                    };
                    file.folders.insert(folder, mapped);
                }
            }
            toml::Value::Array(texts) => {
                let texts = texts.into_iter().map(text).collect::<anyhow::Result<_>>()?;
                file.texts.push((label.clone(), texts));
            }
            single => file.texts.push((label.clone(), vec![text(single)?])),
        }
    }
    Ok(file)
}

/// Reads a mapping of folders to labels for a probe: the table `[folders]`, or `folder = "label"`
/// at the top level.
///
/// # Errors
/// Bad input that names the file and the entry.
pub fn read_mapping(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let file = read_toml(path)?;
    if !file.folders.is_empty() {
        return Ok(file.folders);
    }
    let entries = file
        .texts
        .into_iter()
        .map(|(folder, mut labels)| match labels.pop() {
            Some(label) if labels.is_empty() => Ok((folder, label)),
            _ => Err(bad_input(format!(
                "{}: `{folder}` must be one label, folder = \"label\"",
                path.display()
            ))),
        });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use emotionclip_data::synthetic;

    use super::*;

    fn args(labels: Option<&str>) -> LabelArgs {
        LabelArgs {
            labels: labels.map(str::to_owned),
            template: "a person feeling {}".to_owned(),
        }
    }

    fn file(folder: &tempfile::TempDir, name: &str, content: &str) -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    #[test]
    fn a_list_fills_the_template() {
        let set = args(Some("calm, very angry"))
            .label_set(None, synthetic::label_texts().unwrap())
            .unwrap();
        let texts: Vec<&str> = set
            .labels()
            .iter()
            .map(|label| label.texts[0].as_str())
            .collect();
        assert_eq!(
            texts,
            ["a person feeling calm", "a person feeling very angry"]
        );
    }

    #[test]
    fn without_labels_emotions_have_their_texts_and_others_the_template() {
        let set = args(None)
            .label_set(None, synthetic::label_texts().unwrap())
            .unwrap();
        assert_eq!(set.labels().len(), Emotion::COUNT);
        let found = ["bored".to_owned(), "joy".to_owned()];
        let set = args(None)
            .label_set(Some(&found), synthetic::label_texts().unwrap())
            .unwrap();
        assert_eq!(set.labels()[0].texts, ["a person feeling bored"]);
        assert!(set.labels()[1].texts.len() > 1);
    }

    #[test]
    fn files_are_lines_or_toml() {
        let folder = tempfile::tempdir().unwrap();
        let lines = file(&folder, "labels.txt", "joy\n\n# no\nfear\n");
        assert_eq!(
            args(Some(&lines))
                .label_set(None, synthetic::label_texts().unwrap())
                .unwrap()
                .labels()
                .len(),
            2
        );
        let toml = "joy = [\"hurrah\", \"yes\"]\nfear = \"help\"\n[folders]\nhappy = \"joy\"\n";
        let toml = file(&folder, "labels.toml", toml);
        let set = args(Some(&toml))
            .label_set(None, synthetic::label_texts().unwrap())
            .unwrap();
        assert_eq!(set.labels()[1].texts, ["hurrah", "yes"]);
        assert_eq!(args(Some(&toml)).folders().unwrap()["happy"], "joy");
        assert_eq!(read_mapping(Path::new(&toml)).unwrap()["happy"], "joy");
    }

    #[test]
    fn faults_name_the_file_and_the_entry() {
        let folder = tempfile::tempdir().unwrap();
        let wrong = file(&folder, "wrong.toml", "joy = 3\n");
        let error = args(Some(&wrong))
            .label_set(None, synthetic::label_texts().unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("wrong.toml: `joy` must be a text"),
            "{error}"
        );
        let missing = folder.path().join("missing.txt").display().to_string();
        let error = args(Some(&missing))
            .label_set(None, synthetic::label_texts().unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.contains("no such file"), "{error}");
        let many = file(&folder, "many.toml", "a = [\"x\", \"y\"]\n");
        let error = read_mapping(Path::new(&many)).unwrap_err().to_string();
        assert!(error.contains("`a` must be one label"), "{error}");
    }
}
