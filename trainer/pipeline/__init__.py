"""All stages from one file: what is to be made, what is there already, and the order between."""
