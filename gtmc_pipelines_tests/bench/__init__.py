"""The benchmark: our write path against the recommended design, in one run, as CPU per record and ratios."""
