//! What each class looks like, in sentences: the texts that zero-shot readings compare with.

use std::collections::BTreeMap;

use emotionclip::zero_shot::LabelSet;

use super::Benchmark;
use super::error::DferError;

const fn embedded(benchmark: Benchmark) -> (&'static str, &'static str) {
    match benchmark {
        Benchmark::Mafw => ("mafw.toml", include_str!("../../assets/dfer/mafw.toml")),
        Benchmark::Dfew => ("dfew.toml", include_str!("../../assets/dfer/dfew.toml")),
        Benchmark::Ferv39k => (
            "ferv39k.toml",
            include_str!("../../assets/dfer/ferv39k.toml"),
        ),
        Benchmark::Afew => ("afew.toml", include_str!("../../assets/dfer/afew.toml")),
    }
}

/// Sentences on the facial behaviour and context of every emotion of a benchmark, in the order of
/// [`Benchmark::emotions`]; a class is the mean of its sentences. They were written for this
/// project: EmoCLIP's own descriptions are one sentence a class.
///
/// # Errors
/// When the embedded file is broken.
pub fn descriptions(benchmark: Benchmark) -> Result<LabelSet, DferError> {
    let (file, text) = embedded(benchmark);
    descriptions_from(benchmark, file, text)
}

/// Descriptions of one's own: a TOML table of lists, emotion → texts, with every emotion of the
/// benchmark. `file` is its name in messages.
///
/// # Errors
/// No such table, a missing or unknown emotion, an empty text.
pub fn descriptions_from(
    benchmark: Benchmark,
    file: &str,
    text: &str,
) -> Result<LabelSet, DferError> {
    let mut table: BTreeMap<String, Vec<String>> =
        toml::from_str(text).map_err(|error| DferError::DescriptionFile {
            file: file.to_owned(),
            reason: error.message().to_owned(),
        })?;
    let mut entries = Vec::new();
    for &emotion in benchmark.emotions() {
        let texts = table.remove(emotion);
        let texts = texts.ok_or_else(|| DferError::NoDescription {
            file: file.to_owned(),
            class: emotion.to_owned(),
        })?;
        entries.push((emotion.to_owned(), texts));
    }
    if let Some((class, _)) = table.pop_first() {
        return Err(DferError::UnknownClass {
            file: file.to_owned(),
            class,
            benchmark,
        });
    }
    LabelSet::new(entries).map_err(|error| DferError::Descriptions {
        file: file.to_owned(),
        error,
    })
}

/// Texts of classes that are combinations of emotions: those of all their emotions.
///
/// # Errors
/// When `texts` lacks an emotion.
pub(super) fn of_classes(
    benchmark: Benchmark,
    classes: &[Vec<usize>],
    names: &[String],
    texts: &LabelSet,
) -> Result<LabelSet, DferError> {
    let file = || "class descriptions".to_owned();
    let of_emotion = |emotion: usize| {
        let name = benchmark
            .emotions()
            .get(emotion)
            .copied()
            .unwrap_or_default();
        let label = texts.labels().iter().find(|label| label.name == name);
        label
            .map(|label| label.texts.clone())
            .ok_or_else(|| DferError::NoDescription {
                file: file(),
                class: name.to_owned(),
            })
    };
    let mut entries = Vec::new();
    for (emotions, name) in classes.iter().zip(names) {
        let mut combined = Vec::new();
        for emotion in emotions {
            combined.extend(of_emotion(*emotion)?);
        }
        entries.push((name.clone(), combined));
    }
    LabelSet::new(entries).map_err(|error| DferError::Descriptions {
        file: file(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_class_of_every_benchmark_is_described() {
        for benchmark in Benchmark::ALL {
            let set = descriptions(benchmark).unwrap();
            let names: Vec<&str> = set.labels().iter().map(|one| one.name.as_str()).collect();
            assert_eq!(names, benchmark.emotions());
            for label in set.labels() {
                assert!(label.texts.len() >= 3, "{benchmark}: {}", label.name);
                for text in &label.texts {
                    assert!(text.split(' ').count() >= 6, "{benchmark}: '{text}'");
                    assert!(text.ends_with('.'), "{benchmark}: '{text}'");
                    assert_eq!(text.trim(), text, "{benchmark}");
                }
            }
        }
    }

    #[test]
    fn no_description_stands_twice_in_any_file() {
        let mut seen: HashMap<String, (Benchmark, String)> = HashMap::new();
        for benchmark in Benchmark::ALL {
            for label in descriptions(benchmark).unwrap().labels() {
                for text in &label.texts {
                    let letters = text.to_lowercase();
                    let letters: String = letters.chars().filter(|c| c.is_alphabetic()).collect();
                    let here = (benchmark, label.name.clone());
                    if let Some(there) = seen.insert(letters, here.clone()) {
                        panic!("'{text}' stands in {there:?} and {here:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_file_of_ones_own_must_fit_the_benchmark() {
        let fault = |text: &str| {
            let found = descriptions_from(Benchmark::Dfew, "mine.toml", text);
            found.unwrap_err().to_string()
        };
        let all = |last: &str| {
            let emotions = Benchmark::Dfew.emotions().iter().take(6);
            let rows: String = emotions
                .map(|emotion| format!("{emotion} = ['a face of {emotion}']\n"))
                .collect();
            rows + last
        };
        assert!(descriptions_from(Benchmark::Dfew, "", &all("fear = ['afraid']")).is_ok());
        assert_eq!(
            fault(&all("")),
            "mine.toml: no texts for 'fear'; write at least one"
        );
        assert_eq!(
            fault(&all("fear = ['afraid']\ncontempt = ['a sneer']")),
            "mine.toml: 'contempt' is no class of DFEW; take it out or correct its name"
        );
        assert_eq!(
            fault(&all("fear = []")),
            "mine.toml: label 'fear' has no texts; give at least one"
        );
        assert!(fault("fear = 3").starts_with("mine.toml: invalid type"));
    }
}
