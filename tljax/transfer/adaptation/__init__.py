"""HOW the features of two domains are brought together: a file here is a term of the loss."""
