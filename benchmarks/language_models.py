"""One update of the same language model, as users of three libraries write it.

Each builder takes a `Task` and returns a call that learns from the next window and waits for the
loss, which it returns. Embedding, one recurrent layer, and the embedding again as output layer,
with a bias; mean cross-entropy over all words, gradient clipped by global norm, Adam; the carry
passes from window to window.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import rnn_jax as rnn
from benchmarks.competitors import flax_nnx
from benchmarks.competitors import torch as torch_peer
from benchmarks.competitors.absent import needed
from rnn_jax.language.config import Config
from rnn_jax.language.learner import Learner

CLIP, RATE = 1.0, 1e-3
Update = Callable[[], float]


class Task(NamedTuple):
    """What is learned, and how much of it at once."""

    cell: str
    hidden: int = 300
    """The length of a word's vector as well."""
    words: int = 10_000
    batch: int = 20
    window: int = 35

    @property
    def tokens(self) -> int:
        """Of a window, over the batch."""
        return self.batch * self.window

    def windows(self) -> "Windows":
        """The same for everyone."""
        rng = np.random.default_rng(0)
        shape = 16, self.window + 1, self.batch
        return Windows(rng.integers(self.words, size=shape, dtype=np.int32))


class Windows:
    """Words drawn at random: what a word costs to learn does not depend on which it is."""

    def __init__(self, ids: np.ndarray) -> None:
        self.ids, self.number = ids, -1

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets, both `(T, B)`."""
        self.number += 1
        window = self.ids[self.number % len(self.ids)]
        return window[:-1], window[1:]


def ours(task: Task) -> Update:
    """The update of `python -m rnn_jax train`."""
    config = Config(
        level="word",
        cell=task.cell,
        hidden=task.hidden,
        embedding=task.hidden,
        tied=True,
        batch=task.batch,
        window=task.window,
        clip=CLIP,
        learning_rate=RATE,
        schedule="constant",
        warmup=0,
        weight_decay=0.0,
        dropout_inputs=0.0,
        dropout_outputs=0.0,
    )
    learner, windows = Learner(config, task.words), task.windows()
    update = jax.jit(learner.update, donate_argnums=0)
    state = learner.start().train

    def run() -> float:
        nonlocal state
        state, metrics = update(state, *windows.next(), windows.number)
        return float(metrics.loss)

    return run


def softmax(task: Task) -> Update:
    """Of the update of `ours` the loss over all words, given the states, and its gradients."""
    state, table = jax.random.split(jax.random.key(0))
    hs = jax.random.normal(state, (task.window, task.batch, task.hidden))
    arrays = hs, jax.random.normal(table, (task.words, task.hidden)) / 10, jnp.zeros(task.words)
    windows = task.windows()

    def loss(hs: jax.Array, table: jax.Array, b: jax.Array, targets: jax.Array) -> jax.Array:
        return rnn.linear_cross_entropy(hs, table, b, targets).mean()

    learn = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))

    def run() -> float:
        _, targets = windows.next()
        return float(jax.block_until_ready(learn(*arrays, targets))[0])

    return run


def nnx(task: Task) -> Update:
    """flax.nnx, in the functional form that its guide gives for speed."""
    nnx = needed("flax.nnx", "flax")
    cell = getattr(nnx, flax_nnx.CELLS[task.cell])

    class Model(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.embed = nnx.Embed(task.words, task.hidden, rngs=rngs)
            layer = cell(task.hidden, task.hidden, rngs=rngs)
            self.rnn = nnx.RNN(layer, time_major=True, return_carry=True)
            self.bias = nnx.Param(jnp.zeros(task.words))

        def __call__(self, tokens: jax.Array, carry: Any) -> tuple[Any, jax.Array]:
            carry, hs = self.rnn(self.embed(tokens), initial_carry=carry)
            return carry, self.embed.attend(hs) + self.bias[...]

    model = Model(nnx.Rngs(0))
    rule = optax.chain(optax.clip_by_global_norm(CLIP), optax.adam(RATE))
    graph, state = nnx.split((model, nnx.Optimizer(model, rule, wrt=nnx.Param)))
    zeros = jnp.zeros((task.batch, task.hidden))
    carry = (zeros, jnp.copy(zeros)) if task.cell == "lstm" else zeros
    windows = task.windows()

    def learn(state: Any, carry: Any, tokens: jax.Array, targets: jax.Array) -> tuple:
        model, optimizer = nnx.merge(graph, state)

        def loss(model: Model) -> tuple[jax.Array, Any]:
            new, logits = model(tokens, carry)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
            return losses.mean(), new

        (value, new), grads = nnx.value_and_grad(loss, has_aux=True)(model)
        optimizer.update(model, grads)
        return nnx.state((model, optimizer)), new, value

    update = jax.jit(learn, donate_argnums=(0, 1))

    def run() -> float:
        nonlocal state, carry
        state, carry, value = update(state, carry, *windows.next())
        return float(value)

    return run


def pytorch(task: Task) -> Update:
    """PyTorch, eager, with its fused Adam."""
    torch, device = torch_peer.ready()
    torch.manual_seed(0)

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(task.words, task.hidden)
            torch.nn.init.normal_(self.embed.weight, std=0.1)
            self.rnn = getattr(torch.nn, torch_peer.CELLS[task.cell])(task.hidden, task.hidden)
            self.out = torch.nn.Linear(task.hidden, task.words)
            self.out.weight = self.embed.weight

        def forward(self, tokens: Any, carry: Any) -> tuple[Any, Any]:
            hs, carry = self.rnn(self.embed(tokens), carry)
            return carry, self.out(hs)

    model = Model().to(device)
    optimizer = torch.optim.Adam(model.parameters(), RATE, fused=True)
    carry, windows = None, task.windows()

    def run() -> float:
        nonlocal carry
        tokens, targets = (torch.from_numpy(ids).to(device).long() for ids in windows.next())
        optimizer.zero_grad(set_to_none=True)
        new, logits = model(tokens, carry)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        carry = tuple(c.detach() for c in new) if isinstance(new, tuple) else new.detach()
        return loss.item()

    return run
