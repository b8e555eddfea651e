        //# repeat t TILE
        x[{{t}}] = masked(x[{{t}}], batch, own, min(first + {{t}}u, tokens - 1u), tokens);
        //# end
