"""WHERE pretrained arrays come from, and how they become the parameters of a network.

In here: `sources`, `formats` and `spellings` (plugins: where a file lies, how it is read, how another library names its
tensors), `zoo` (cards of published weights), and what lies between a file and a network: cards, the lock file, name
tables, layouts of axes. The spec of a config goes in; arrays under the family's names and their card come out.
Nothing in here may train, evaluate, or execute anything that a file of weights contains.
"""
