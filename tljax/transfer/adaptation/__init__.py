"""Domain adaptation methods, one file each: a term of the loss that aligns the features of two domains."""
