"""The files of gensim: what it writes is read, number for number."""

import numpy as np
import pytest

import rnn_jax as rnn

gensim = pytest.importorskip("gensim", reason="gensim is absent: `make test-peers` installs it")


# A binary file without a header says nowhere how wide it is.
@pytest.mark.parametrize(("binary", "header"), [(False, True), (False, False), (True, True)])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_what_gensim_writes_is_read(tmp_path, binary, header, ending):
    rng = np.random.default_rng(0)
    words = [f"w\u00f6rt{n}" for n in range(300)]
    kept = gensim.models.KeyedVectors(30)
    kept.add_vectors(words, rng.normal(size=(300, 30)).astype(np.float32))
    path = str(tmp_path / f"vectors{ending}")
    kept.save_word2vec_format(path, binary=binary, write_header=header)
    found = rnn.words.read_vectors(path)
    assert found.words == tuple(kept.index_to_key)
    np.testing.assert_array_equal(found.vectors, kept.vectors)
