// How threads share rows: LANES threads work on one row, ROWS rows form a workgroup, and VALUES
// sums per row go through workgroup memory, or from register to register where SUBGROUPS hold whole
// rows. With one lane a row there is no memory and no barrier.
const ROWS: u32 = {{ROWS}}u;
const LANES: u32 = {{LANES}}u;
const VALUES: u32 = {{VALUES}}u;
//# if MANY_LANES
var<workgroup> partial: array<f32, {{PARTIALS}}>;
var<workgroup> total: array<f32, {{TOTALS}}>;
//# end
