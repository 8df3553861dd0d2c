"""The nonlinear loop, `c_t = update(c_{t-1}, recur(params, c_{t-1}, z_t))`: one engine a file."""
