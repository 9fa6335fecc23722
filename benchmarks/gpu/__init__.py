"""`make gpu`: what only a GPU can show, in order of worth, whatever minutes of one there are.

`parts` says what is done and in which order, `isolation` does it in processes of their own, and
`record` keeps what they say as it comes. `columns` says what a table has of each, `page` what all
of it comes to, beside the record and for docs/reproduce.md (`reproduce`). `precompile` needs no GPU
and saves one the compiling. The other files are what is measured: the device itself (`device`,
`correctness`), whole steps (`figure_1`, `device_time`, `graphs`, `opponents`), single kernels
(`kernels`, `variants`) and whole runs (`training`).

Nothing but the libraries of the parts is needed, nor is anything installed: `python -m gpu` with
`src` and `benchmarks` in PYTHONPATH.
"""
