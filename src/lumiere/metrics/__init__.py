"""Metrics of clips and of sets of clips, one a file; docs/metrics.md defines them.

Of one clip: ``temporal_flickering``, ``motion_smoothness``, ``dynamic_degree``, ``warping_error``,
``subject_consistency``, ``text_alignment``. Of sets of clips: ``frechet``, ``inception``, ``nearest``. The
nets that they look through are in ``features``; a recogniser of some domain is passed as an argument.
``report`` puts them together, ``ucf101`` follows a published protocol.
"""
