"""`make gpu`: what only a GPU can show, in order of worth, whatever minutes of one there are.

`parts` says what is done and in which order, `isolation` does it in processes of their own, and
`record` keeps what they say as it comes. `columns` says what a table has of each, `page` what all
of it comes to, beside the record and for docs/reproduce.md (`reproduce`). `precompile` needs no GPU
and saves one the compiling. What is measured is in `fcmae.benchmarks`, but for what concerns the
device itself: `device`, `correctness`, `training`.

Nothing but the libraries of the parts is needed, nor is fcmae installed: `python -m fcmae.gpu` with
`src` in PYTHONPATH.
"""
