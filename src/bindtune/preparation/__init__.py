"""Make training files from files of peaks, structures and proteins."""
