"""Answers that are maps: as files, and judged in the size of their pictures; windows over large pictures."""
