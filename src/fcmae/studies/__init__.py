"""The comparisons of the paper's appendix, trained again and compared with what it says.

A study is a file with the options of its command, its settings and one value `Study`, and a row of
`cli.COMMANDS`; `runner` trains, keeps and shows. `claims` has the one rule of when a difference
counts. The toy study, whose settings are no runs of other commands, is a folder of its own.
"""
