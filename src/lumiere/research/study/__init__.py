"""The user study (the paper, section 4.2): a rater sees two clips of one prompt and chooses the better.

``build`` makes a folder of anonymous pairs, ``serve`` shows it as a web page and keeps the answers, and
``report`` counts them.
"""
