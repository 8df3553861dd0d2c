"""How XLA compiles what the suite runs, nearly all of which is run once.

LLVM need not optimise it, nor have it in several modules; and XLA's older way to write a fused
loop for LLVM takes a third of the time of the one that users have. The flags of that kind come and
go, and one that XLA does not know ends the process: they are for the release that they are of.
`make test-all` runs the laws a second time without them, on the code that users run: ten laws of
the GRU took 79 seconds of a processor, and 27 with them.
"""

from importlib import metadata

_KNOWN = metadata.version("jaxlib").startswith("0.10.")

QUICK = " ".join(
    [
        "--xla_backend_optimization_level=0",
        "--xla_cpu_use_fusion_emitters=false" * _KNOWN,
        "--xla_cpu_parallel_codegen_split_count=1" * _KNOWN,
    ]
)
# The old way fuses other things. With this a program has the matmuls and the memory of the users'.
AS_USERS_HAVE_IT = {"xla_cpu_use_fusion_emitters": True} if _KNOWN else {}
