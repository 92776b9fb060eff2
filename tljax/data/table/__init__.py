"""Tables in which each row is an example with its label: texts, or paths of pictures. `tables` reads their cells."""
