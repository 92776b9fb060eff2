"""WHAT a page of a run or of a comparison shows: gathered from what the run found, section by section.

A finished run goes in, `report/index.html` comes out. Nothing in here may change what the run found, or be able to
lose it: the result is on disk before a page is begun.
"""
