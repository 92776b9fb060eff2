"""WHAT computes: a file here is a model family, `build(variant, ...)`, `names(variant)`."""
