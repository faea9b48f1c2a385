"""Whether a map repeats, follows the picture and follows the trained weights: from rows to figures and answers.

May import findings and the configuration.
NumPy only: a verification draws the same conclusions without the model.
"""
