"""WHY a finished run says what it says: where in a picture, which words, what its layers respond to.

A loaded model and examples go in; maps, words and filters come out, as arrays. Nothing in here draws.
"""
