"""The user study: two clips of one prompt side by side, and a rater says which is better (the paper, section 4.2).

``build`` makes a folder of anonymous pairs, ``serve`` shows it as a web page and keeps the answers, ``report``
counts them.
"""
