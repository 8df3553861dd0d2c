"""The site: the pages of this repository, and what is read from rnn_jax, as HTML. `make docs`.

```text
names.py      every public name, and the file that defines it
api.py        a page for each of those files, of the forms in rst.py
cells.py      what a page of a cell has more: shapes, gates, names elsewhere
gallery.py    the pictures of the notebooks, each with the code that drew it
tree.py       all pages in one folder, laid out as the repository is
conf.py       what Sphinx is told
links.py      what Sphinx is taught: a name in backticks leads to its page
__main__.py   the tree, then Sphinx
```

Only links.py and __main__.py need Sphinx.
"""
