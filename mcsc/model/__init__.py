"""The model of Eq. 5: dictionary, operators, codes, problem, certificate, reconstruction."""
