"""Detectors: a pyramid over a backbone's stages, the FCOS head on it, and functions of boxes.

Boxes are [top, left, bottom, right] in pixels of the network's input; a class of NO_BOX is padding.
"""
