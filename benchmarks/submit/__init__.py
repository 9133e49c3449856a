"""Submissions: a method's evidence, made and verified by one command each."""
