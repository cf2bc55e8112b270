"""Labelled headlines in, a checkpoint out, which `kuaixun-export build` turns into a bundle."""
