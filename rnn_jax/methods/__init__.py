"""Ways through time: values of a few settings, over two loops that each may have several engines.

`orbit/` finds the carries, `linear/` solves the linear recurrence of their tangents and cotangents,
`tangent.py` is the one derivative rule between them.
"""
