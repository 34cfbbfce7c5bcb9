"""The rules a program must keep: one rule, one function, one code.

`names` are those that a block shows as it is written; `structure` are those of the unrolled network.
"""
