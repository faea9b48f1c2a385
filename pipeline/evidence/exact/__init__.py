"""The exact rule: patients' scores in, p-values, bounds and decisions out, with no assumption but independent patients.

``tail`` is the number behind it, ``means`` the test; the other files say which scores it is applied to. Areas under the
ROC curve, open cohorts and families of claims have rules of their own. May import the vocabulary, numpy and scipy.
"""
