"""Which examples are in which part: chosen by name, by shares, by group or by domain, seeded, stratified by class.

A data set (`Dataset`) and config.data go in; a `subsets.Subset` for each part comes out. No example is read here.
"""
