"""ModernBERT's encoder, which shares stages, inputs and outputs with `encoder.py`, and no block with it.

Tokens go in, one vector for each text comes out. Names and sizes are the family's, `families/modernbert.py`.
"""
