"""The pages that run another library: skipped by name from where one is needed that is absent."""

import pytest

from tests.pages import documents, is_of_peers, run_page

PAGES = [page for page in documents("python") if is_of_peers(page)]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_python_blocks_run(name, tmp_path):
    run_page(name, tmp_path)
