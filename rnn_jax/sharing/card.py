"""The model card: what a person, and the Hugging Face hub, read of a folder."""

import math

import jax.numpy as jnp

from rnn_jax.cell import Layer, Params
from rnn_jax.combinators.fit import output
from rnn_jax.sharing.arrays import named

# The front matter is what the hub sorts models by:
# https://huggingface.co/docs/hub/model-cards#model-card-metadata
_CARD = """\
---
library_name: rnn_jax
tags:
- jax
- rnn
- recurrent-neural-network
---

# {kind}

A recurrent network of rnn_jax, for JAX: {count:,} parameters.

```python
import rnn_jax as rnn

layer, params = rnn.load("path/to/this/folder")
carry, ys = rnn.unroll(layer, params, xs)
```

`xs` are {reads}, time first; `ys` are {emits}.

Loading the folder runs nothing that is in it: `config.json` names the layer and its settings, and
`model.safetensors` holds these arrays:

| array | shape | dtype |
| --- | --- | --- |
{rows}
"""


def card(layer: Layer, params: Params) -> str:
    """The text of README.md, with the front matter of the hub."""
    arrays = named(params)
    shape, kind = layer.input
    tokens = kind is jnp.integer
    return _CARD.format(
        kind=type(layer).__name__,
        count=sum(math.prod(array.shape) for array in arrays.values()),
        reads=f"{'integers' if tokens else 'numbers'} `{_axes(shape)}`",
        emits=f"`{_axes(output(layer).shape)}`",
        rows="\n".join(
            f"| `{name}` | `{tuple(array.shape)}` | {array.dtype} |"
            for name, array in arrays.items()
        ),
    )


def _axes(shape: tuple[int, ...]) -> str:
    return f"({', '.join(('T', '*batch', *map(str, shape)))})"
