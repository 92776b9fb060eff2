"""How other libraries name the tensors of our families: a file here is a library, a table `SPELLINGS`."""
