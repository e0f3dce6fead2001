"""The one vocabulary of rows of state: which kinds there are, whose they are, how their keys are made, what
befalls them.
"""
