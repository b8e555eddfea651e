// A score that counts for nothing: its exponential is 0 beside every score a network produces, and
// a row of nothing else gives equal weights where minus infinity would give NaN.
const BLOCKED: f32 = -1e30;

// The score of one pair of tokens with the mask in force.
fn masked(score: f32, batch: u32, row: u32, key: u32, tokens: u32) -> f32 {
    //# if KEY_BIAS
    return score + max(bias[batch * tokens + key], BLOCKED);
    //# end
    //# if CAUSAL
    return select(score, BLOCKED, key > row);
    //# end
    //# if SUBJECT
    // Class token first, human token last; bias is 1 for the patches outside of the subject.
    let human = tokens - 1u;
    let patches = tokens - 2u;
    if (row == human && key < human) {
        if (key == 0u || bias[batch * patches + key - 1u] > 0.5) {
            return BLOCKED;
        }
    }
    if (key == human && row > 0u && row < human && bias[batch * patches + row - 1u] > 0.5) {
        return BLOCKED;
    }
    return score;
    //# end
    //# if UNMASKED
    return score;
    //# end
}
