"""Pages: one HTML file that holds everything it shows and needs no network.

Numbers, texts and small pictures go in; `index.html` comes out. Templates are in `templates/`.
Nothing in this folder may know a network, read a data set, or decide what to show.
"""
