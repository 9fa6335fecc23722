"""The comparisons of the paper's appendix, trained again and compared with what it says.

A study is a file with the options of its command, its settings and one value `Study`, and a row of
`cli.COMMANDS`; `runner` trains, keeps and shows. `claims` estimates differences and their errors;
when one counts is the rule of `report.verdict`. The toy study, whose settings are no runs of other
commands, is a folder of its own.
"""
