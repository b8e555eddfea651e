    // Where a thread stands in its workgroup; sums over lanes by subgroups count along the subgroups.
    //# if SUBGROUPS
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_threads: u32,
    @builtin(subgroup_invocation_id) subgroup_thread: u32,
    //# else
    @builtin(local_invocation_index) thread: u32,
    //# end
