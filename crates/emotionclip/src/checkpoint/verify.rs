//! One check of a whole state dict against the model, and one error that says everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{CheckpointError, StateDict};

/// A tensor of another shape than the model's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// The tensor's key.
    pub name: String,
    /// The checkpoint's shape.
    pub found: Vec<usize>,
    /// The model's shape.
    pub expected: Vec<usize>,
}

/// Everything in a checkpoint that does not fit the model, in full and in key order.
///
/// Displayed as one line a kind, keys that differ only in a layer's number drawn together:
/// `missing (4): backbone.transformer.resblocks.{0-3}.ln_1.weight`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Keys the model needs and the checkpoint lacks.
    pub missing: Vec<String>,
    /// Keys the checkpoint has and the model does not know.
    pub unexpected: Vec<String>,
    /// Keys whose shapes differ.
    pub misshapen: Vec<Misshapen>,
    /// Keys with a NaN or an infinity.
    pub non_finite: Vec<String>,
}

impl Mismatch {
    fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.unexpected.is_empty()
            && self.misshapen.is_empty()
            && self.non_finite.is_empty()
    }
}

/// Checks that a state dict holds exactly the expected keys and shapes and only finite numbers.
/// A missing key is forgiven where `allow_missing` says so, for parts that are to be initialised.
///
/// # Errors
/// [`CheckpointError::Mismatch`], listing every fault at once.
pub fn verify(
    state: &StateDict,
    expected: &[(String, Vec<usize>)],
    allow_missing: impl Fn(&str) -> bool,
) -> Result<(), CheckpointError> {
    let expected: BTreeMap<&str, &[usize]> = expected
        .iter()
        .map(|(name, shape)| (name.as_str(), shape.as_slice()))
        .collect();
    let mut mismatch = Mismatch::default();
    for (&name, &shape) in &expected {
        match state.get(name) {
            Some(tensor) if tensor.shape() != shape => mismatch.misshapen.push(Misshapen {
                name: name.to_owned(),
                found: tensor.shape().to_vec(),
                expected: shape.to_vec(),
            }),
            None if !allow_missing(name) => mismatch.missing.push(name.to_owned()),
            _ => {}
        }
    }
    for (name, tensor) in state {
        if !expected.contains_key(name.as_str()) {
            mismatch.unexpected.push(name.clone());
        }
        if !tensor.is_finite() {
            mismatch.non_finite.push(name.clone());
        }
    }
    if mismatch.is_empty() {
        Ok(())
    } else {
        Err(CheckpointError::Mismatch(Box::new(mismatch)))
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the checkpoint does not fit the model; check the preset and the file"
        )?;
        let plain = |names: &[String]| {
            names
                .iter()
                .map(|name| (name.clone(), String::new()))
                .collect::<Vec<_>>()
        };
        let misshapen: Vec<_> = self
            .misshapen
            .iter()
            .map(|m| {
                (
                    m.name.clone(),
                    format!(" is {:?} instead of {:?}", m.found, m.expected),
                )
            })
            .collect();
        for (kind, entries) in [
            ("missing", plain(&self.missing)),
            ("unexpected", plain(&self.unexpected)),
            ("misshapen", misshapen),
            ("not finite", plain(&self.non_finite)),
        ] {
            if !entries.is_empty() {
                write!(
                    f,
                    "\n  {kind} ({}): {}",
                    entries.len(),
                    group(&entries).join(", ")
                )?;
            }
        }
        Ok(())
    }
}

/// Joins entries whose names differ only in their first number and whose notes agree.
fn group(entries: &[(String, String)]) -> Vec<String> {
    let mut groups: Vec<(&str, &str, &str, BTreeSet<u64>)> = Vec::new();
    let mut index = BTreeMap::new();
    for (name, note) in entries {
        let (before, number, after) = split_at_number(name);
        let at = *index
            .entry((before, number.is_some(), after, note))
            .or_insert_with(|| {
                groups.push((before, after, note, BTreeSet::new()));
                groups.len() - 1
            });
        groups[at].3.extend(number);
    }
    groups
        .into_iter()
        .map(|(before, after, note, numbers)| {
            let number = match numbers.len() {
                0 | 1 => numbers.first().map(u64::to_string).unwrap_or_default(),
                _ => format!("{{{}}}", ranges(&numbers)),
            };
            format!(
                "{}{number}{}{note}",
                before.escape_debug(),
                after.escape_debug()
            )
        })
        .collect()
}

/// Splits a key around its first component that is a number.
fn split_at_number(name: &str) -> (&str, Option<u64>, &str) {
    let mut start = 0;
    for part in name.split('.') {
        let end = start + part.len();
        // A number written otherwise than `to_string` would ("07") could not be put back.
        if let Ok(number) = part.parse::<u64>()
            && number.to_string() == part
        {
            return (&name[..start], Some(number), &name[end..]);
        }
        start = end + 1;
    }
    (name, None, "")
}

/// `0-3,7`.
fn ranges(numbers: &BTreeSet<u64>) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(number) => *end = number,
            _ => runs.push((number, number)),
        }
    }
    let run = |&(start, end): &(u64, u64)| {
        if start == end {
            start.to_string()
        } else {
            format!("{start}-{end}")
        }
    };
    runs.iter().map(run).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::RawTensor;

    fn tensor(values: &[f32]) -> RawTensor {
        RawTensor::from_f32(vec![values.len()], values).unwrap()
    }

    #[test]
    fn a_fitting_state_dict_passes() {
        let state = [("a".to_owned(), tensor(&[1.0]))].into();
        verify(&state, &[("a".into(), vec![1])], |_| false).unwrap();
    }

    #[test]
    fn what_may_be_missing_is_forgiven() {
        let expected = [
            ("head.a".to_owned(), vec![1]),
            ("body.a".to_owned(), vec![1]),
        ];
        let error = verify(&StateDict::new(), &expected, |name| {
            name.starts_with("head.")
        });
        let Err(CheckpointError::Mismatch(mismatch)) = error else {
            panic!("an empty state dict passed");
        };
        assert_eq!(mismatch.missing, ["body.a"]);
    }

    #[test]
    fn every_fault_is_in_one_error() {
        let mut state: StateDict = (0..4)
            .map(|layer| (format!("layers.{layer}.extra"), tensor(&[0.0])))
            .collect();
        state.insert("short".into(), tensor(&[1.0, f32::NAN]));
        let mut expected: Vec<_> = [0, 1, 3]
            .map(|layer| (format!("layers.{layer}.weight"), vec![1]))
            .into();
        expected.push(("short".into(), vec![3]));
        let error = verify(&state, &expected, |_| false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the checkpoint does not fit the model; check the preset and the file\n  \
             missing (3): layers.{0-1,3}.weight\n  \
             unexpected (4): layers.{0-3}.extra\n  \
             misshapen (1): short is [2] instead of [3]\n  \
             not finite (1): short"
        );
        let CheckpointError::Mismatch(mismatch) = error else {
            panic!("another kind of error");
        };
        assert_eq!(mismatch.unexpected.len(), 4);
    }

    #[test]
    fn numbers_that_would_not_print_alike_are_not_drawn_together() {
        assert_eq!(split_at_number("a.07.b"), ("a.07.b", None, ""));
        assert_eq!(split_at_number("7"), ("", Some(7), ""));
    }
}
