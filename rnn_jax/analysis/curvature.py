"""The curvature of a training loss: eigenvalues of its Hessian and of its Gauss-Newton matrix."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnn_jax.analysis.arguments import first_key, floats, one_number, vector
from rnn_jax.analysis.arguments import like as of_the_form
from rnn_jax.analysis.lanczos import Product, lanczos, ritz
from rnn_jax.arguments.settings import above_zero, function, instance, positive
from rnn_jax.cell import Params


def hessian_product(loss: Callable[[Params], jax.Array], params: Params) -> Product:
    """The Hessian of a loss as `v -> H v`, forward over reverse, without the matrix.

    Shapes: v and `H v` are pytrees as params. Cost of a product: about two of the gradient; what
    a product can share with the next is computed once. Source: Pearlmutter, Fast exact
    multiplication by the Hessian, Neural Computation 6, 1994.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> product = rnn.analysis.hessian_product(lambda w: jnp.sum(w**4), jnp.array([1.0, 2.0]))
    >>> product(jnp.array([1.0, 1.0])).tolist()
    [12.0, 48.0]
    """
    return _hessian_product("hessian_product", loss, params)


def _hessian_product(caller: str, loss: Callable[[Any], jax.Array], at: Any) -> Product:
    function(f"{caller}: loss", loss)
    at = floats(f"{caller}: {'params' if caller == 'hessian_product' else 'model(params)'}", at)

    def looked_at(at: Any) -> jax.Array:
        found = loss(at)
        one_number(f"{caller}: loss", found)
        return found

    _, product = jax.linearize(jax.grad(looked_at), at)
    return lambda v: product(of_the_form(f"{caller}: v", at, v))


def gauss_newton_product(
    model: Callable[[Params], Any], params: Params, *, loss: Callable[[Any], jax.Array]
) -> Product:
    """The Gauss-Newton matrix of `loss(model(params))` as `v -> J' H_L J v`.

    `J = dmodel/dparams` and `H_L` the Hessian of the loss by the model's outputs: the Hessian
    without the curvature of the model, positive semidefinite where the loss is convex. For half
    the squared error `G = J'J`, which has the non-zero eigenvalues of the neural tangent kernel
    `J J'`; for cross-entropy it is the Fisher matrix.

    Shapes: v and `G v` are pytrees as params. Cost of a product: about that of a gradient and a
    half. Source: Schraudolph, Fast curvature matrix-vector products for second-order gradient
    descent, Neural Computation 14, 2002.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> half_squares = lambda ys: jnp.sum(ys**2) / 2
    >>> params = jnp.array([1.0, 3.0])
    >>> product = rnn.analysis.gauss_newton_product(jnp.square, params, loss=half_squares)
    >>> product(jnp.array([1.0, 1.0])).tolist()
    [4.0, 36.0]
    """
    caller = "gauss_newton_product"
    function(f"{caller}: model", model)
    params = floats(f"{caller}: params", params)
    outputs, forward = jax.linearize(model, params)
    of_loss = _hessian_product(caller, loss, outputs)
    backward = jax.linear_transpose(forward, params)

    def product(v: Any) -> Any:
        (pulled,) = backward(of_loss(forward(of_the_form(f"{caller}: v", params, v))))
        return pulled

    return product


class Extremes(NamedTuple):
    """What m iterations of Lanczos know of a spectrum."""

    eigenvalues: jax.Array
    """`(m,)`, ascending: the first is close to the smallest, the last to the largest; those in
    between need not be eigenvalues."""
    errors: jax.Array
    """`(m,)`: there is an eigenvalue at least as near as this."""


def extreme_eigenvalues(
    product: Product, like: Any, *, iterations: int = 64, key: jax.Array | None = None
) -> Extremes:
    """The eigenvalues at both ends of a symmetric matrix, from its products with vectors.

    The Ritz values of Lanczos' method: they converge from within, those at the ends first. With
    as many iterations as dimensions they are all the eigenvalues, and exact. An error bound says
    how near an eigenvalue is, not that none was missed. The first direction is drawn from `key`,
    `jax.random.key(0)` if None.

    Shapes: `like` a pytree as `product` takes, n numbers; the results `(m,)`, m the smaller of
    `iterations` and n. Cost: m products, O(n m^2) for keeping m vectors orthogonal, and their
    memory. Source: Parlett, The symmetric eigenvalue problem, 1980, chapter 13.

    Raises `ArgumentError` for iterations that are not positive.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> stretch = lambda v: v * jnp.arange(1.0, 301.0)
    >>> extremes = jax.jit(lambda v: rnn.analysis.extreme_eigenvalues(stretch, v, iterations=100))
    >>> found = extremes(jnp.zeros(300))
    >>> found.eigenvalues[jnp.array([0, -1])].round(2).tolist()
    [1.0, 300.0]
    """
    tridiagonal = lanczos("extreme_eigenvalues", product, like, key, iterations)
    values, _, last = ritz(tridiagonal)
    return Extremes(values, jnp.abs(tridiagonal.off_diagonal[-1] * last))


class SpectralDensity(NamedTuple):
    """A density of eigenvalues as point masses, from random probes."""

    nodes: jax.Array
    """`(probes, m)`: where."""
    weights: jax.Array
    """`(probes, m)`: how much; 1 a probe."""


def spectral_density(
    product: Product,
    like: Any,
    *,
    iterations: int = 64,
    probes: int = 8,
    key: jax.Array | None = None,
) -> SpectralDensity:
    """How the eigenvalues of a symmetric matrix are spread: stochastic Lanczos quadrature.

    For a random direction v, Lanczos' m Ritz values and the squares of the first entries of
    their eigenvectors are the nodes and weights of a Gauss quadrature of
    `v' f(A) v = sum_i weights_i f(nodes_i)`, exact for polynomials up to degree 2m - 1; its mean
    over probes tends to `trace f(A) / n`. Draw it with `smoothed`. The probes are drawn from `key`,
    `jax.random.key(0)` if None.

    Shapes: `like` a pytree as `product` takes, n numbers. Cost: probes times that of
    `extreme_eigenvalues`, one after the other. Sources: Ubaru, Chen & Saad, SIAM Journal on Matrix
    Analysis 38, 2017; Ghorbani, Krishnan & Xiao, An investigation into neural net optimization
    via Hessian eigenvalue density, ICML 2019.

    Raises `ArgumentError` for iterations or probes that are not positive.

    >>> import jax, jax.numpy as jnp, rnn_jax as rnn
    >>> twice = lambda v: 2 * v
    >>> found = rnn.analysis.spectral_density(twice, jnp.zeros(50), iterations=1)
    >>> found.nodes.round(4).tolist() == [[2.0]] * 8, found.weights.tolist() == [[1.0]] * 8
    (True, True)
    """
    caller = "spectral_density"
    probes = positive(f"{caller}: probes", probes)
    key = first_key(f"{caller}: key", key)

    def probe(key: jax.Array) -> SpectralDensity:
        values, first, _ = ritz(lanczos(caller, product, like, key, iterations))
        return SpectralDensity(values, jnp.square(first))

    return lax.map(probe, jax.random.split(key, probes))


a_density = instance(SpectralDensity, ", as rnn_jax.analysis.spectral_density returns it")


def smoothed(density: SpectralDensity, grid: jax.Array, *, width: float) -> jax.Array:
    """A spectral density as a curve: every point mass a Gaussian of standard deviation `width`.

    Shapes: grid `(G,)`; the result `(G,)`, whose integral is 1.

    Raises `ArgumentError` for a width that is not positive.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> point = rnn.analysis.SpectralDensity(jnp.zeros((1, 1)), jnp.ones((1, 1)))
    >>> [round(float(y), 4) for y in rnn.analysis.smoothed(point, jnp.array([0.0, 1.0]), width=1.0)]
    [0.3989, 0.242]
    """
    a_density("smoothed: density", density)
    grid, width = vector("smoothed: grid", grid), above_zero("smoothed: width", width)
    heights = jnp.exp(-jnp.square((grid[:, None, None] - density.nodes[None]) / width) / 2)
    masses = jnp.sum(heights * density.weights[None], axis=(1, 2)) / density.nodes.shape[0]
    return masses / (width * math.sqrt(2 * math.pi))
