//! Cues out of order.
//!
//! Captions are written as they are spoken, so a cue that starts before the one above it was put
//! there by damage. Which of the two is wrong is decided by the others: the longest sequence in
//! order stays, everything else is left out.

use super::Parsed;

/// Leaves out the fewest cues that make the rest start in order.
pub(super) fn drop_misplaced(parsed: &mut Parsed) {
    let starts: Vec<f64> = parsed.cues.iter().map(|cue| cue.start).collect();
    let kept = longest_in_order(&starts);
    if kept.len() == starts.len() {
        return;
    }
    let mut is_kept = vec![false; starts.len()];
    for index in kept {
        if let Some(flag) = is_kept.get_mut(index) {
            *flag = true;
        }
    }
    let mut flags = is_kept.into_iter();
    let mut misplaced = Vec::new();
    parsed.cues.retain(|cue| {
        let keep = flags.next().unwrap_or(true);
        if !keep {
            misplaced.push(cue.number);
        }
        keep
    });
    for number in misplaced {
        parsed.fault(number, "it is out of order");
    }
}

/// Indices of a longest non-decreasing subsequence (patience sorting).
fn longest_in_order(values: &[f64]) -> Vec<usize> {
    // The index that ends the best sequence of each length, and what comes before each index.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; values.len()];
    for (index, value) in values.iter().enumerate() {
        let length = ends.partition_point(|end| values.get(*end).is_some_and(|last| last <= value));
        if let Some(slot) = before.get_mut(index) {
            *slot = length
                .checked_sub(1)
                .and_then(|shorter| ends.get(shorter))
                .copied();
        }
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut chain = Vec::with_capacity(ends.len());
    let mut at = ends.last().copied();
    while let Some(index) = at {
        chain.push(index);
        at = before.get(index).copied().flatten();
    }
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_are_left_out() {
        assert_eq!(
            longest_in_order(&[1.0, 2.0, 90.0, 3.0, 4.0, 4.0]),
            [0, 1, 3, 4, 5]
        );
        assert_eq!(longest_in_order(&[5.0, 1.0, 2.0]), [1, 2]);
        assert_eq!(longest_in_order(&[]), [] as [usize; 0]);
        assert_eq!(longest_in_order(&[3.0, 2.0, 1.0]).len(), 1);
    }
}
