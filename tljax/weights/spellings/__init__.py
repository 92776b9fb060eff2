"""Other libraries' names for the tensors of our families. A file here is a library; it defines a table `SPELLINGS`."""
