"""A `lax.scan` as one kernel: any step, traced into the body of a loop that never leaves the chip.

`scan.py` makes the loop, from the step of either engine; `rows.py` finds out which axes are those
of the batch, `program.py` is the one pass over the step's program, and each machine is a file. Of
the pass, `cuts.py` says which arrays are in parts, `rules.py` what an operation makes of them, and
`deferred.py` what is not worked out before it is read.
Behind that of a Hopper stand `shared_out.py`, a step of which each group of threads has some units,
and `groups.py`, what a group does.
"""
