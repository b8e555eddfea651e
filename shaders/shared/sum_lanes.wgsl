    // Sums x over the lanes of a row. With subgroups, to which whole rows belong, by halves: what two
    // lanes add is the same for both, so all lanes end with the same bits. Else each lane adds up some
    // of the values, then all read all; every element is written before it is read, so the memory
    // needs no other initialisation.
    //# if SUBGROUPS
    //# repeat s STEPS
    //# repeat t VALUES
    x[{{t}}] += subgroupShuffleXor(x[{{t}}], 1u << {{s}}u);
    //# end
    //# end
    //# end
    //# if MANY_LANES
    {
        let mine = (local * LANES + lane) * VALUES;
        //# repeat t VALUES
        partial[mine + {{t}}u] = x[{{t}}];
        //# end
        workgroupBarrier();
        for (var value = lane; value < VALUES; value += LANES) {
            var sum = 0.0;
            for (var other = 0u; other < LANES; other++) {
                sum += partial[(local * LANES + other) * VALUES + value];
            }
            total[local * VALUES + value] = sum;
        }
        workgroupBarrier();
        //# repeat t VALUES
        x[{{t}}] = total[local * VALUES + {{t}}u];
        //# end
    }
    //# end
