"""The linear loop, `x_t = M_t x_{t-1} + b_t` and its transpose: one engine a file."""
