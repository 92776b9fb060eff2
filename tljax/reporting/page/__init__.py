"""HOW a page is drawn: one HTML file that holds all it shows and asks the network for nothing.

Numbers, texts and small pictures go in; `index.html` comes out. Templates lie in `templates/`.
Nothing in here may know a network, read a data set, or decide what is worth showing.
"""
