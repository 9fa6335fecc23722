"""`make gpu`: what only a GPU can show, in order of worth, whatever minutes of one there are.

`parts` says what is done and in which order, `isolation` does it in processes of their own, and
`record` keeps what they say as it comes. `precompile` needs no GPU and saves one the compiling.
Libraries beyond those of the parts are not needed, nor is fcmae installed: `python -m fcmae.gpu`
with `src` in PYTHONPATH.
"""
