    //# if SUBGROUPS
    let thread = subgroup * subgroup_threads + subgroup_thread;
    //# end
