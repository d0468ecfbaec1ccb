"""One HTML page of measured figures.

``reading`` recognises what the other verbs wrote, a file of this folder for each kind; all of it becomes
sections of tables, pictures and clips (``section``), and ``page`` writes those as one HTML file.
"""
